#!/usr/bin/env node
import type { Writable } from "node:stream";
import { run } from "./run.ts";
import { Screen } from "./screen.ts";

// The reader closed the pipe, as in `bullmq-redlock ls | head`.
process.stdout.on("error", () => process.exit());

const code = await run(process.argv.slice(2), {
  out: new Screen(process.stdout),
  notes: new Screen(process.stderr),
  environment: process.env,
});
await Promise.all([written(process.stdout), written(process.stderr)]);
// A client keeps a timer for two seconds after close() when a master has refused the connection.
process.exit(code);

/** Resolves when everything written so far is flushed. */
function written(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    stream.write("", () => resolve());
  });
}
