import { parseArgs } from "node:util";
import { readDuration } from "../config/duration.ts";
import { nearest } from "../nearest.ts";
import { messageOf } from "../sentences.ts";

/** The options of all commands. Each command takes some of them. */
const OPTIONS = {
  config: { type: "string" },
  node: { type: "string", multiple: true },
  cacert: { type: "string" },
  cert: { type: "string" },
  key: { type: "string" },
  reason: { type: "string" },
  slot: { type: "string" },
  for: { type: "string" },
  force: { type: "boolean" },
  "dry-run": { type: "boolean" },
  prefix: { type: "string" },
  timeout: { type: "string" },
  json: { type: "boolean" },
  job: { type: "string" },
  queue: { type: "string" },
  redis: { type: "string" },
  "queue-prefix": { type: "string" },
  ignore: { type: "string", multiple: true },
  port: { type: "string" },
  host: { type: "string" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" },
} as const;

/** The name of an option, without the dashes. */
export type OptionName = keyof typeof OPTIONS;

/** A parsed command line. */
export interface Arguments {
  readonly command: string | undefined;
  readonly operands: readonly string[];
  readonly options: ReturnType<typeof parse>["values"];
}

/** A wrong command line, described in one sentence. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Parses a command line. @throws {UsageError} */
export function readArguments(args: readonly string[]): Arguments {
  const { values, positionals } = parse(args);
  const [command, ...operands] = positionals;
  return { command, operands, options: values };
}

/** Refuses options that a command does not take. @throws {UsageError} */
export function refuseOtherOptions(name: string, options: object, taken: object): void {
  const other = Object.keys(options).find((each) => each !== "help" && !(each in taken));
  if (other !== undefined) throw new UsageError(`${name} takes no --${other}`);
}

/** Reads `--slot`: a number from 0; `undefined` when it is not given. @throws {UsageError} */
export function readSlot(text: string | undefined): number | undefined {
  if (text === undefined || /^\d{1,4}$/.test(text)) return text === undefined ? text : Number(text);
  throw new UsageError(`--slot: found "${text}", expected a number from 0, as inspect shows it`);
}

/** Reads `--reason`. @throws {UsageError} for none, with an example, and for an empty one. */
export function readReason(reason: string | undefined, example?: string): string {
  if (reason !== undefined && reason.trim() !== "") return reason;
  const found = reason === undefined ? "nothing" : "an empty text";
  const more = example === undefined ? "" : `, ${example}`;
  throw new UsageError(`--reason: found ${found}, expected a reason for people${more}`);
}

/** Reads a time, in ms. @throws {UsageError} */
export function readTime(
  option: string,
  text: string,
  { min, max }: { readonly min: number; readonly max: number },
): number {
  const ms = readDuration(/^\d+$/.test(text) ? Number(text) : text);
  if (ms !== undefined && ms >= min && ms <= max) return ms;
  throw new UsageError(
    `${option}: found "${text}", expected ${min} to ${max} ms, as a number or as in "5s"`,
  );
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    const [, ambiguous] =
      /^Option '(?:-\w, )?(--[\w-]+)[^']*' argument is ambiguous/.exec(messageOf(error)) ?? [];
    if (ambiguous !== undefined) {
      throw new UsageError(
        `${ambiguous} takes a value; give one that begins with a dash as in ${ambiguous}=-5`,
      );
    }
    // Node's message has several sentences; the first names the problem.
    const [first = ""] = (error as Error).message.split(/\.\s|\n/);
    const [, unknown] = /^Unknown option '--?([^']*)'/.exec(first) ?? [];
    const meant = unknown === undefined ? undefined : nearest(unknown, Object.keys(OPTIONS));
    throw new UsageError(meant === undefined ? first : `${first}; did you mean --${meant}?`);
  }
}
