import { LockConfigError } from "./errors.ts";
import { nearest } from "./nearest.ts";
import { describeKind, describeValue } from "./sentences.ts";

/** The error for the value of an option that cannot work. */
export function wrongOption(path: string, value: unknown, expected: string): LockConfigError {
  return new LockConfigError({ path, found: describeValue(value), expected });
}

/** Throws the error for a value that may not be shown, or that is described in other words. */
export function refuseValue(path: string, found: string, expected: string): never {
  throw new LockConfigError({ path, found, expected });
}

/** Throws unless `value` is an object. A text is not repeated in the error: it may be a URL with a password. */
export function requireObject(
  path: string,
  value: unknown,
  expected: string,
): asserts value is object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const found = typeof value === "string" ? describeKind(value) : describeValue(value);
    refuseValue(path, found, expected);
  }
}

/** Throws unless `value` is a text. */
export function requireText(
  path: string,
  value: unknown,
  expected: string,
): asserts value is string {
  if (typeof value !== "string") throw wrongOption(path, value, expected);
}

/** Throws unless `value` is `true` or `false`. */
export function requireBoolean(path: string, value: unknown): asserts value is boolean {
  if (typeof value !== "boolean") throw wrongOption(path, value, "true or false");
}

/** Throws unless `value` is a function. */
export function requireFunction<F>(
  path: string,
  value: F,
  expected: string,
): asserts value is F & ((...args: never) => unknown) {
  if (typeof value !== "function") throw wrongOption(path, value, expected);
}

/** What the error for a wrong name found. */
export const UNKNOWN_OPTION = "an unknown option";

/**
 * Throws when `options` has a key that is not in `known`. The error names the nearest known key, or the `usual` ones; the
 * key itself only where it may be shown, or is nearly a known one and has only letters: others may be secrets.
 */
export function refuseUnknownOptions(
  path: string,
  options: object,
  known: readonly string[],
  { usual = `one of ${known.join(", ")}`, isShown = true } = {},
): void {
  for (const option of Object.keys(options)) {
    if (known.includes(option)) continue;
    const meant = nearest(option, known);
    const isSlip = meant !== undefined && /^[a-z]+$/i.test(option);
    refuseValue(
      !isShown && !isSlip ? path : path === "" ? option : `${path}.${option}`,
      UNKNOWN_OPTION,
      meant === undefined ? usual : `"${meant}"?`,
    );
  }
}

/** Bounds of a number option. */
interface NumberBounds {
  min: number;
  max: number;
  /** The unit in words: "whole milliseconds". */
  unit: string;
  /** Explains the upper bound: "the maxTtl of the Redlock". */
  limit?: string;
  integer?: boolean;
  /** Describes the value, where it may not be repeated. */
  describe?: (value: unknown) => string;
}

/** Returns `value` if it is a number within bounds, else throws. */
export function checkNumber(path: string, value: unknown, bounds: NumberBounds): number {
  const { min, max, unit, limit, integer = true, describe = describeValue } = bounds;
  const fits =
    typeof value === "number" &&
    (integer ? Number.isSafeInteger(value) : Number.isFinite(value)) &&
    value >= min &&
    value <= max;
  if (fits) return value;
  const end = limit === undefined ? "" : `, ${limit}`;
  return refuseValue(path, describe(value), `${unit} from ${min} to ${max}${end}`);
}

/** Returns `value` if it is a number of whole milliseconds within bounds, else throws; `limit` explains the upper one. */
export function checkMs(
  path: string,
  value: unknown,
  min: number,
  max: number,
  limit?: string,
): number {
  const bounds = { min, max, unit: "whole milliseconds" };
  return checkNumber(path, value, limit === undefined ? bounds : { ...bounds, limit });
}

/** Returns `value` if it is one of `choices`, else throws, naming the nearest one. */
export function checkChoice<T extends string>(
  path: string,
  value: unknown,
  choices: readonly T[],
): T {
  const choice = choices.find((candidate) => candidate === value);
  if (choice !== undefined) return choice;
  const meant = typeof value === "string" ? nearest(value, choices) : undefined;
  const list = choices.map((candidate) => `"${candidate}"`).join(", ");
  const hint = meant === undefined ? "" : `; did you mean "${meant}"?`;
  throw wrongOption(path, value, `one of ${list}${hint}`);
}
