/** A duration with its unit, such as `"30s"`, `"1.5s"`, `"250ms"`, `"5m"`, `"1h"` or `"1d"`. */
export type DurationText = `${number}${keyof typeof UNITS}`;

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
  const unit = value.replace(/^[\d.]+/, "") as keyof typeof UNITS;
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
