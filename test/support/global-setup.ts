import { execFileSync } from "node:child_process";
import { findRedisServer } from "../../src/testing/find-redis-server.ts";

/** Makes sure once, before the test workers start, that the build is of these sources, and that there is a server to run. */
export async function setup(): Promise<void> {
  // Not by a test: it would take the program away under the processes of another.
  execFileSync(process.execPath, ["scripts/build.mjs"], { stdio: "inherit" });
  await findRedisServer({ onProgress: (line) => process.stderr.write(`${line}\n`) });
}
