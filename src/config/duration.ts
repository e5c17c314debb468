/**
 * A duration of whole milliseconds with a unit, such as `"30s"`, `"1.5s"`, `"250ms"`, `"5m"`, `"1h"` or `"1d"`. Pass a computed
 * duration as a number of milliseconds.
 */
export type DurationText = Whole<Unit | `.${Zeros}${bigint}${Exclude<Unit, "ms">}`>;

type Unit = keyof typeof UNITS;
/** `${bigint}` alone also takes negative numbers, and other bases. */
type Whole<Rest extends string> = `0${Rest}` | (`${bigint}${Rest}` & `${Digit}${string}`);
type Digit = "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";
/** `${bigint}` takes no leading zeros. */
type Zeros = "" | "0" | "00";

/** The possible durations, for messages. */
export const DURATION_EXPECTED = 'whole milliseconds, or a duration such as "30s" or "5m"';
/** The form of a {@link DurationText}. */
export const DURATION_FORM = /^\d+(\.\d+)?(ms|s|m|h|d)$/;

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
/** Durations in other forms. */
const ALMOST =
  /^\s*(\d+(?:\.\d+)?)\s*(ms|msecs?|milli[a-z]*|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)\s*$/i;

/** Reads a duration as milliseconds; `undefined` when it is none, or has a part of a millisecond. */
export function readDuration(value: unknown): number | undefined {
  if (typeof value === "number")
    return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  if (typeof value !== "string" || !DURATION_FORM.test(value)) return undefined;
  const unit = value.replace(/^[\d.]+/, "") as Unit;
  // 0.7 * 1000 is not 700 in floating point.
  const ms = Number((Number.parseFloat(value) * UNITS[unit]).toPrecision(15));
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** Guesses the duration that a text such as `"30 sec"` means. */
export function guessDuration(value: unknown): DurationText | undefined {
  const [, number, unit = ""] = (typeof value === "string" && ALMOST.exec(value)) || [];
  if (number === undefined) return undefined;
  const short = /^m(s|i?l)/i.test(unit) ? "ms" : unit.slice(0, 1).toLowerCase();
  const meant = `${number}${short}` as DurationText;
  return readDuration(meant) === undefined ? undefined : meant;
}
