import { findRedisServer } from "../../src/testing/index.ts";

/** Makes sure once, before the test workers start, that there is a server to run. */
export async function setup(): Promise<void> {
  await findRedisServer({ onProgress: (line) => process.stderr.write(`${line}\n`) });
}
