import { readFileSync } from "node:fs";
import { nearest } from "../nearest.ts";
import { printable } from "../printable.ts";
import { readArguments, readTime, refuseOtherOptions, UsageError } from "./arguments.ts";
import { type Command, EXIT, type ExitCode, type Invocation } from "./command.ts";
import { ANSWER, COMMANDS } from "./commands.ts";
import { reportFailure } from "./failure.ts";
import { wrap } from "./screen.ts";

const NO_TIMEOUT = { min: 0, max: 0, otherwise: 0 };

/** Runs a command line. Never rejects. */
export async function run(
  args: readonly string[],
  runtime: Pick<Invocation, "out" | "notes" | "environment">,
): Promise<ExitCode> {
  const { out } = runtime;
  try {
    const { command: name, operands, options } = readArguments(args);
    if (options.version === true) {
      out.print(version());
      return EXIT.ok;
    }
    if (name === undefined || name === "help") {
      const [asked] = operands;
      out.print(...(asked === undefined ? overview() : help(asked, find(asked))));
      return name === undefined && options.help !== true ? EXIT.usage : EXIT.ok;
    }
    const command = find(name);
    if (options.help === true) {
      out.print(...help(name, command));
      return EXIT.ok;
    }
    refuseOtherOptions(name, options, command.options);
    const operand = readOperand(name, command, operands);
    const bounds = command.timeout ?? NO_TIMEOUT;
    const timeout =
      options.timeout === undefined
        ? bounds.otherwise
        : readTime("--timeout", options.timeout, bounds);
    const nodeTimeout = bounds === ANSWER ? timeout : ANSWER.otherwise;
    const start = await command.load();
    return await start({ ...runtime, operand, options, timeout, nodeTimeout });
  } catch (error) {
    // The raw words are searched: parsing them may be what failed.
    const named = args.find((each) => Object.hasOwn(COMMANDS, each));
    return reportFailure(error, named, args.includes("--json"), runtime);
  }
}

function find(name: string): Command {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command !== undefined) return command;
  const meant = nearest(name, Object.keys(COMMANDS));
  throw new UsageError(
    `there is no command "${printable(name)}"${meant === undefined ? "" : `; did you mean "${meant}"?`}`,
  );
}

/** Reads the operand that a command takes. @throws {UsageError} */
function readOperand(
  name: string,
  { operand, examples }: Command,
  operands: readonly string[],
): string {
  if (operand === undefined) {
    if (operands.length > 0) throw new UsageError(`${name} takes options only`);
    return "";
  }
  const [given = operand.otherwise, ...more] = operands;
  if (given !== undefined && more.length === 0) return given;
  throw new UsageError(`${name} takes one ${operand.noun}, as in: ${examples[0]}`);
}

function overview(): string[] {
  return [
    "Usage: bullmq-redlock COMMAND [options]",
    "",
    ...Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(14)}${summary}`),
    "",
    "  bullmq-redlock COMMAND --help describes a command, with an example",
    "  bullmq-redlock --version",
    "",
    "Output is coloured on a terminal, unless NO_COLOR is set.",
  ];
}

/** The columns of `--help`. */
const WIDTH = 88;
const OPTION_WIDTH = 18;

function help(name: string, { operand, about, options, examples, exits }: Command): string[] {
  const exitCodes = Object.entries(EXIT)
    .sort(([, a], [, b]) => a - b)
    .flatMap(([exit, code]) => {
      const meaning = exits[exit as keyof typeof EXIT];
      return meaning === undefined ? [] : `${code} ${meaning}`;
    });
  return [
    ["Usage: bullmq-redlock", name, "[options]", operand?.name ?? ""].join(" ").trimEnd(),
    "",
    ...wrap(about, "", WIDTH),
    "",
    ...Object.entries(options).flatMap(([option, text]) => describeOption(option, text)),
    "",
    ...examples.map((example) => `  ${example}`),
    "",
    ...wrap(`Exit code: ${exitCodes.join("; ")}.`, "", WIDTH),
  ];
}

/** @param text what the option does, after the name of its value in capitals. */
function describeOption(option: string, text: string): string[] {
  const [value = ""] = /^[A-Z]+ /.exec(text) ?? [];
  const head = `  --${option} ${value}`.padEnd(OPTION_WIDTH);
  const indent = " ".repeat(OPTION_WIDTH);
  const [first = "", ...rest] = wrap(text.slice(value.length), indent, WIDTH);
  const start = head.length > OPTION_WIDTH ? `${head} ` : head;
  return [start + first.trimStart(), ...rest];
}

function version(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
