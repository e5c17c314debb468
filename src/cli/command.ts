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
  /** The key, job, file or pattern; empty for none. */
  readonly operand: string;
  readonly options: Arguments["options"];
  /** `--timeout`, or its default, in ms; 0 for a command without it. */
  readonly timeout: number;
  /** How long a master may take to connect, and to answer, in ms. */
  readonly nodeTimeout: number;
  /** Standard output: the answer. */
  readonly out: Screen;
  /** Standard error: problems on the way to the answer. */
  readonly notes: Screen;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

type Run = (invocation: Invocation) => Promise<ExitCode>;

/** A command of `bullmq-redlock`. */
export interface Command {
  readonly summary: string;
  /** Without an operand, the command takes options only. */
  readonly operand?: {
    readonly name: string;
    readonly noun: string;
    /** When none is given; without it, one is needed. */
    readonly otherwise?: string;
  };
  readonly about: string;
  /** What each of its options does, for `--help`: after the name of the value, if it takes one. */
  readonly options: { readonly [N in OptionName]?: string };
  /** Bounds of `--timeout`, and its default, in ms. */
  readonly timeout?: { readonly min: number; readonly max: number; readonly otherwise: number };
  readonly examples: readonly string[];
  readonly exits: { readonly [N in keyof typeof EXIT]?: string };
  /** Loads the code: only the command that runs needs its part. */
  load(): Promise<Run>;
}
