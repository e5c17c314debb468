import type { Arguments, OptionName } from "./arguments.ts";
import type { Screen } from "./screen.ts";

/** Exit codes of every command. */
export const EXIT = {
  /** Nothing is wrong. */
  ok: 0,
  /** The command found a problem that needs attention. */
  finding: 1,
  /** The command line, or the file it names, cannot be used. */
  usage: 2,
  /** Too few masters answered, or too few can vote: no client can acquire a lock. */
  noQuorum: 3,
} as const;

/** One of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** One run of a command: its arguments, and where it writes. */
export interface Invocation {
  readonly operands: readonly string[];
  readonly options: Arguments["options"];
  /** Standard output: the answer. */
  readonly out: Screen;
  /** Standard error: problems on the way to the answer. */
  readonly notes: Screen;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A command of `bullmq-redlock`. */
export interface Command {
  readonly summary: string;
  /** The text of `--help`. */
  readonly help: string;
  readonly takes: readonly OptionName[];
  run(invocation: Invocation): Promise<ExitCode>;
}

/** A wrong command line, described in one sentence. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
