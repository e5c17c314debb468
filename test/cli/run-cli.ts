import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { run } from "../../src/cli/run.ts";
import { Screen } from "../../src/cli/screen.ts";

const ROOT = join(import.meta.dirname, "../..");
export const PROGRAM = join(ROOT, "dist/cli/main.js");

// Outputs are compared as they are without a terminal.
for (const name of ["FORCE_COLOR", "NO_COLOR", "CI"]) delete process.env[name];

/** What a command printed, and its exit code. */
export interface Outcome {
  code: number | null;
  out: string;
  notes: string;
}

/** What only a process can be given. */
interface ProcessOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  input?: string;
  /** Run it on a terminal of its own; everything it prints is in `out`. */
  onTerminal?: boolean;
}

/** Runs a command line in this process, which saves the second that a process takes to start. */
export async function cli(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const [out, notes] = [new PassThrough(), new PassThrough()];
  const texts = Promise.all([text(out), text(notes)]);
  const code = await run(args, {
    out: new Screen(out),
    notes: new Screen(notes),
    environment: { ...process.env, ...env },
  });
  out.end();
  notes.end();
  const [printed, noted] = await texts;
  return { code, out: printed, notes: noted };
}

/** Starts the command line as a process of its own, which goes on. */
export function startCli(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [PROGRAM, ...args], { env: { ...process.env, ...env } });
}

/** Runs the command line as a process of its own: for what {@link cli} cannot show. */
export async function cliProcess(
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<Outcome> {
  const { cwd = import.meta.dirname, env = {}, input = "", onTerminal = false } = options;
  const words = [process.execPath, PROGRAM, ...args];
  const [command = "", ...rest] = onTerminal
    ? ["script", "-qec", words.map((word) => `'${word}'`).join(" "), "/dev/null"]
    : words;
  const child = spawn(command, rest, { cwd, env: { ...process.env, TERM: "xterm", ...env } });
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const [out, notes, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close") as Promise<[number | null]>,
  ]);
  return { code, out, notes };
}
