import { printable } from "../printable.ts";

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
] as const;

/** A duration for people, in at most two units: `850 ms`, `12.3 s`, `2 min 5 s`, `3 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 999.5) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1).replace(/\.0$/, "")} s`;
  // Rounded first, so that 119,999 ms are no "1 min 60 s".
  const rounded =
    ms < 3_600_000 ? Math.round(ms / 1_000) * 1_000 : Math.round(ms / 60_000) * 60_000;
  const first = UNITS.findIndex(([, size]) => rounded >= size);
  const [[unit, size] = ["s", 1_000], next] = UNITS.slice(first);
  const whole = `${Math.floor(rounded / size)} ${unit}`;
  const rest = next === undefined ? 0 : Math.floor((rounded % size) / next[1]);
  return next === undefined || rest === 0 ? whole : `${whole} ${rest} ${next[0]}`;
}

/** A point in time for people: `2026-11-24 20:31:04 UTC`. */
export function moment(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime())
    ? "an unknown time"
    : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** `1 lock`, `2 locks`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function list(words: readonly string[]): string {
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} and ${last}`;
}

/** A text as one word of a shell, in quotes only if it must be. What would steer a terminal is taken out. */
export function shellWord(text: string): string {
  return /^[\w:.,@%+/][\w:.,@%+/-]*$/.test(text) ? text : shellQuoted(printable(text));
}

/** A text as one word of a shell, whatever is in it: keys are made of what users of the application have written. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
