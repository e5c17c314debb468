import { hostName } from "../host-name.ts";
import { printable } from "../printable.ts";

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
] as const;

/** Formats a duration in at most two units: `850 ms`, `12.3 s`, `2 min 5 s`, `3 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 999.5) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1).replace(/\.0$/, "")} s`;
  // Rounded before it is split into units: 119,999 ms is "2 min", not "1 min 60 s".
  const rounded =
    ms < 3_600_000 ? Math.round(ms / 1_000) * 1_000 : Math.round(ms / 60_000) * 60_000;
  const first = UNITS.findIndex(([, size]) => rounded >= size);
  const [[unit, size] = ["s", 1_000], next] = UNITS.slice(first);
  const whole = `${Math.floor(rounded / size)} ${unit}`;
  const rest = next === undefined ? 0 : Math.floor((rounded % size) / next[1]);
  return next === undefined || rest === 0 ? whole : `${whole} ${rest} ${next[0]}`;
}

/** Formats a point in time: `2026-11-24 20:31:04 UTC`. */
export function moment(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime())
    ? "an unknown time"
    : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Shortens a text to so many characters. */
export function shorten(text: string, most: number): string {
  const characters = Array.from(text);
  return characters.length <= most ? text : `${characters.slice(0, most - 3).join("")}...`;
}

const ORDINALS = new Intl.PluralRules("en", { type: "ordinal" });
const SUFFIXES: Readonly<Record<string, string>> = { one: "st", two: "nd", few: "rd" };

/** Formats a position: `1st`, `22nd`, `113th`. */
export function ordinal(number: number): string {
  return `${number}${SUFFIXES[ORDINALS.select(number)] ?? "th"}`;
}

/** Formats a list: `a`, `a and b`, `a, b and c`. */
export function list(words: readonly string[]): string {
  return new Intl.ListFormat("en-GB", { type: "conjunction" }).format(words);
}

/** Names the sender of a request to stop, for the error of the job. */
export function operator(reason: string | undefined): string {
  return `an operator on ${hostName()}${reason === undefined ? "" : `: ${reason}`}`;
}

/** Quotes the last operand of a command for a shell, if it needs quotes. Terminal control characters are replaced. */
export function shellWord(text: string): string {
  if (text.startsWith("-")) return `-- ${shellQuoted(printable(text))}`;
  return /^[\w:.,@%+/][\w:.,@%+/-]*$/.test(text) ? text : shellQuoted(printable(text));
}

/** Quotes any text for a shell: keys are built from what users of the application typed. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
