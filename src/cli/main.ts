#!/usr/bin/env node
import type { Writable } from "node:stream";
import { EXIT } from "./command.ts";
import { run } from "./run.ts";
import { Screen } from "./screen.ts";

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // The reader closed the pipe, as in `bullmq-redlock ls | head`.
  if (error.code === "EPIPE") process.exit();
  process.stderr.write(`bullmq-redlock: the output cannot be written (${error.message})\n`);
  process.exit(EXIT.usage);
});

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
