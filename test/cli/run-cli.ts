import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const ROOT = join(import.meta.dirname, "../..");
const PROGRAM = join(ROOT, "dist/cli/main.js");

/** What a command printed, and its exit code. */
export interface Outcome {
  code: number | null;
  out: string;
  notes: string;
}

interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  input?: string;
  /** Run it on a terminal of its own; everything it prints is in `out`. */
  onTerminal?: boolean;
}

/** Starts the command line as a process of its own, which goes on. */
export function startCli(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [PROGRAM, ...args], { env: { ...process.env, ...env } });
}

/** Runs the command line as a process of its own. */
export async function cli(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { cwd = import.meta.dirname, env = {}, input = "", onTerminal = false } = options;
  const { NO_COLOR: _noColor, FORCE_COLOR: _force, CI: _ci, ...own } = process.env;
  const words = [process.execPath, PROGRAM, ...args];
  const [command = "", ...rest] = onTerminal
    ? ["script", "-qec", words.map((word) => `'${word}'`).join(" "), "/dev/null"]
    : words;
  const child = spawn(command, rest, { cwd, env: { ...own, TERM: "xterm", ...env } });
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const [out, notes, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close") as Promise<[number | null]>,
  ]);
  return { code, out, notes };
}
