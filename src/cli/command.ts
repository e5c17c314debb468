import type { Arguments, OptionName } from "./arguments.ts";
import type { ExitCode } from "./exit-code.ts";
import type { Screen } from "./screen.ts";

/** What a command works with. */
export interface Call {
  readonly operands: readonly string[];
  readonly options: Arguments["options"];
  /** For what was asked. */
  readonly out: Screen;
  /** For what went wrong on the way. */
  readonly notes: Screen;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** One of the commands. */
export interface Command {
  readonly summary: string;
  /** All that `--help` says. */
  readonly help: string;
  readonly takes: readonly OptionName[];
  run(call: Call): Promise<ExitCode>;
}
