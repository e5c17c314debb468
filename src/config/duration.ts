/**
 * A duration with its unit, such as `"30s"`, `"1.5s"`, `"250ms"`, `"5m"`, `"1h"` or `"1d"`, of whole milliseconds. One that is
 * computed is given in milliseconds, as a number.
 */
export type DurationText = Whole<Unit | `.${Zeros}${bigint}${Exclude<Unit, "ms">}`>;

type Unit = keyof typeof UNITS;
/** A text that `${bigint}` takes is negative, or of another base, unless it begins so. */
type Whole<Rest extends string> = `0${Rest}` | (`${bigint}${Rest}` & `${Digit}${string}`);
type Digit = "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";
/** A `bigint` does not begin with zeros. */
type Zeros = "" | "0" | "00";

/** What a duration may be, for error messages. */
export const DURATION_EXPECTED = 'whole milliseconds, or a duration such as "30s" or "5m"';
/** The form of a {@link DurationText}. */
export const DURATION_FORM = /^\d+(\.\d+)?(ms|s|m|h|d)$/;

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
/** What people write, and what it would have to be. */
const ALMOST =
  /^\s*(\d+(?:\.\d+)?)\s*(ms|msecs?|milli[a-z]*|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)\s*$/i;

/** Reads a duration, in milliseconds; `undefined` when it is none, or no whole number of them. */
export function readDuration(value: unknown): number | undefined {
  if (typeof value === "number")
    return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  if (typeof value !== "string" || !DURATION_FORM.test(value)) return undefined;
  const unit = value.replace(/^[\d.]+/, "") as Unit;
  // 0.7 * 1000 is not 700 in floating point.
  const ms = Number((Number.parseFloat(value) * UNITS[unit]).toPrecision(15));
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** The duration that was meant by something like `"30 sec"`. */
export function guessDuration(value: unknown): DurationText | undefined {
  const [, number, unit = ""] = (typeof value === "string" && ALMOST.exec(value)) || [];
  if (number === undefined) return undefined;
  const short = /^m(s|i?l)/i.test(unit) ? "ms" : unit.slice(0, 1).toLowerCase();
  const meant = `${number}${short}` as DurationText;
  return readDuration(meant) === undefined ? undefined : meant;
}
