import { checkNumber, wrongOption } from "./check-options.ts";

/** An option that can be written as data: in a rules file, or in an editor that knows its schema. */
export interface DataOption {
  /** What it takes; a list has all values there are. */
  readonly takes:
    | "duration"
    | "duration or false"
    | "ratio"
    | "count or template"
    | "text"
    | readonly (string | boolean)[];
  /** What it does, in one line. */
  readonly says: string;
  /** What counts when the option is left out, where that depends on no other option. */
  readonly default?: unknown;
  /** The smallest number. */
  readonly min?: number;
  /** The largest number, or the most characters of a text. */
  readonly max?: number;
}

/** The type of the values that an option takes. */
type ValueOf<O extends Pick<DataOption, "takes">> = O["takes"] extends readonly (infer C)[]
  ? C
  : O["takes"] extends "text"
    ? string
    : number;

/**
 * Reads the value of an option that has bounds, a length or a list of values; its default when it is left out.
 * @throws {LockConfigError} for a value that it does not take.
 */
export function readOption<const O extends DataOption>(
  path: string,
  value: unknown,
  option: O,
): ValueOf<O> {
  const given = value === undefined ? option.default : value;
  return checkOption(path, given, option) as ValueOf<O>;
}

function checkOption(path: string, value: unknown, { takes, min = 0, max }: DataOption): unknown {
  if (typeof takes === "object") {
    const choices: readonly unknown[] = takes;
    if (choices.includes(value)) return value;
    const expected = `one of ${takes.map((each) => JSON.stringify(each)).join(", ")}`;
    throw wrongOption(path, value, expected);
  }
  if (takes === "text") {
    if (typeof value === "string" && (max === undefined || value.length <= max)) return value;
    const expected = max === undefined ? "a text" : `a text of at most ${max} characters`;
    throw wrongOption(path, value, expected);
  }
  const integer = takes !== "ratio";
  const unit = integer ? "whole milliseconds" : "a number";
  return checkNumber(path, value, { min, max: max ?? Number.MAX_SAFE_INTEGER, unit, integer });
}
