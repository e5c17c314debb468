import type { Path } from "./problem.ts";

const ANY = "any";
const ONE = "one";
/** `ANY` text, any `ONE` character, or the character itself. */
type Part = string;

/** The number of steps that a comparison of two patterns may take. */
const MOST_WORK = 1_000_000;

/**
 * A pattern for names: `*` matches any text, `?` any one character, and a backslash takes the next character as it is. Every
 * other character matches itself.
 */
export class Pattern {
  /** Whether only one name matches. */
  readonly isName: boolean;
  readonly #parts: readonly Part[];

  constructor(text: string) {
    this.#parts = parse(text);
    this.isName = !this.#parts.some((part) => part === ANY || part === ONE);
  }

  matches(name: string): boolean {
    return takesAll(this.#parts, Array.from(name));
  }

  /** Whether this pattern matches every name that the other one matches; false where that takes long to find out. */
  covers(other: Pattern): boolean {
    const parts = other.#parts;
    return this.#parts.length * parts.length <= MOST_WORK && takesAll(this.#parts, parts);
  }
}

function parse(text: string): Part[] {
  return Array.from(text.matchAll(/\\?./gsu), ([written]) => {
    if (written === "*") return ANY;
    if (written === "?") return ONE;
    return written.length > 1 && written.startsWith("\\") ? written.slice(1) : written;
  });
}

/**
 * Whether a pattern takes all parts of a name, or of another pattern. A step back to the last `ANY` is enough, so the time
 * is at most the product of the lengths.
 */
function takesAll(pattern: readonly Part[], parts: readonly Part[]): boolean {
  let [at, star, resume] = [0, -1, 0];
  let i = 0;
  while (i < parts.length) {
    const part = pattern[at];
    if (part === ANY) {
      star = at;
      resume = i;
      at += 1;
    } else if (part !== undefined && (part === parts[i] || (part === ONE && parts[i] !== ANY))) {
      at += 1;
      i += 1;
    } else if (star >= 0) {
      resume += 1;
      at = star + 1;
      i = resume;
    } else return false;
  }
  while (pattern[at] === ANY) at += 1;
  return at === pattern.length;
}

/** Texts that are a pattern of another kind, or begin one. A backslash before the mark makes the text a name. */
const REGULAR_EXPRESSION = String.raw`\^|\/.*\/[a-z]*$|\.[*+?]|\(.*(?<!\\)\)[*+?]?$|\(\?[:!=<]`;
const COMPARISON = String.raw`[<>=~]|-?\d+\.\.\.?-?\d+$`;
const NEGATION = String.raw`!|not\s|NOT\s`;
const IN_QUOTES = "([\"'`]).*(?<!\\\\)\\1$";

/**
 * The form of a pattern. It refuses a text that can only be a pattern of another kind: taken as it is, it would match no job,
 * and a later rule might let the intended jobs run without a lock.
 */
export const PATTERN_FORM = new RegExp(
  String.raw`^(?!\s|${NEGATION}|${REGULAR_EXPRESSION}|${COMPARISON}|${IN_QUOTES})` +
    String.raw`(?!.*(?<!\\)[\s$]$)(?!.*[^+\\]\+$)(?!.*(?<!\\)\.\+)(?!.*(?<!\\)&&)` +
    String.raw`(?:\\[^A-Za-z0-9]|(?![*?+@]\()[^\\{}[\]|,])*$`,
);
/** The form of a pattern for queues: their names have no colon. */
export const QUEUE_FORM = new RegExp(`^(?!.*:)${PATTERN_FORM.source.slice(1)}`);

/** The possible patterns, for messages. */
export const PATTERN_EXPECTED =
  'a name, or a pattern with * and ? such as "report-*", or a list of them';
const AS_IT_IS = String.raw`; \ takes the next character as it is`;

/** Describes what to write instead of a text that is no pattern. @param path its path in the rules. */
export function describePattern(text: string, [, , option]: Path): string {
  if (PATTERN_FORM.test(text))
    return "the name of a queue alone, without the prefix of its keys: BullMQ allows no colon in it";
  return `${describe(text, option === "unless" ? "when" : "unless")}${AS_IT_IS}`;
}

function describe(text: string, opposite: string): string {
  if (text.includes("{{") || /\$\{?[A-Z_]/.test(text))
    return `${PATTERN_EXPECTED}; neither templates nor variables`;
  if (text !== text.trim()) return `${PATTERN_EXPECTED}, without spaces around it`;
  if (new RegExp(`^(?:${NEGATION})`).test(text))
    return `${opposite}, with a name or a pattern with * and ?`;
  return `${PATTERN_EXPECTED}; no regular expression, comparison or quotes`;
}
