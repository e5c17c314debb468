#!/usr/bin/env node
import type { Writable } from "node:stream";
import { run } from "./run.ts";
import { Screen } from "./screen.ts";

// Nobody reads any more, as in `bullmq-redlock ls | head`.
process.stdout.on("error", () => process.exit());

const code = await run(process.argv.slice(2), {
  out: new Screen(process.stdout),
  notes: new Screen(process.stderr),
  environment: process.env,
});
await Promise.all([written(process.stdout), written(process.stderr)]);
// The client of a master that refused to connect keeps a timer for two seconds after it was closed.
process.exit(code);

/** Resolves when everything is on its way. */
function written(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    stream.write("", () => resolve());
  });
}
