import { printable } from "./printable.ts";

/** Describes the answer of a master. */
export function explainVote({ vote, cause }: { vote: string; cause: string | undefined }): string {
  const words = vote.replace("-", " ");
  return cause === undefined ? words : `${words} (${cause})`;
}

/** Formats a number of things: `1 lock`, `2 locks`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

const ANSWERS = ["granted", "held", "free", "gone", "foreign"];

/** Describes why a quarantined master has no vote; `remaining` is in milliseconds. */
export function describeQuarantine(remaining: number | undefined): string {
  const until = remaining === undefined ? "" : `; votes in ${Math.ceil(remaining / 1_000)} s`;
  return `new, or lost its memory${until}`;
}

/** Whether a master has answered without a vote: it is new, or may have forgotten locks. */
export function isBarred(vote: string): boolean {
  return vote === "quarantined" || vote === "unarmed";
}

/** Whether a vote, or the state of a key on a master, is an answer. */
export function isAnswer(vote: string): boolean {
  return ANSWERS.includes(vote);
}

/** Quotes keys for a message: `"a"` or `"a", "b"`. */
export function quoteKeys(keys: readonly string[]): string {
  return keys.map((key) => `"${printable(key)}"`).join(", ");
}

/** Names the kind of a value that may be a secret, or contain one: texts and numbers are not repeated. */
export function describeKind(value: unknown): string {
  if (typeof value === "string") return value === "" ? "an empty text" : "a text";
  return typeof value === "number" || typeof value === "bigint" ? "a number" : describeValue(value);
}

/** Describes any value, short and safe for a message. */
export function describeValue(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "nothing";
  if (typeof value === "string")
    return value.length <= 60 ? JSON.stringify(value) : `${JSON.stringify(value.slice(0, 57))}...`;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value))
    return value.length === 0 ? "an empty array" : `an array of ${value.length}`;
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  return "an object";
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
