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
  /** The text that every name that matches begins with. */
  readonly prefix: string;
  /** Whether `prefix` is the only name that matches. */
  readonly isName: boolean;
  readonly #parts: readonly Part[];

  constructor(text: string) {
    const end = text.search(/[*?\\]/);
    // Most patterns are names, or end in a star.
    const [plain, rest] = end === -1 ? [text, []] : [text.slice(0, end), parse(text.slice(end))];
    const wild = rest.findIndex((part) => part === ANY || part === ONE);
    this.isName = wild === -1;
    this.prefix = plain + (this.isName ? rest : rest.slice(0, wild)).join("");
    this.#parts = this.isName ? [] : Array.from(plain).concat(rest);
  }

  matches(name: string): boolean {
    return this.isName ? name === this.prefix : takesAll(this.#parts, Array.from(name));
  }

  /** Whether this pattern matches every name that the other one matches; false when both are very long. */
  covers(other: Pattern): boolean {
    if (this.isName) return other.isName && other.prefix === this.prefix;
    if (!other.prefix.startsWith(this.prefix)) return false;
    const parts = other.isName ? Array.from(other.prefix) : other.#parts;
    if (this.#parts.length * parts.length > MOST_WORK) return false;
    return takesAll(spread(this.#parts), parts);
  }
}

function parse(text: string): Part[] {
  return Array.from(text.matchAll(/\\?./gsu), ([written]) => {
    if (written === "*") return ANY;
    if (written === "?") return ONE;
    return written.length > 1 && written.startsWith("\\") ? written.slice(1) : written;
  });
}

/** Puts an `ANY` around each `ONE` in a run with an `ANY`: `?*` means the same as `*?*`, and takes more patterns. */
function spread(parts: readonly Part[]): Part[] {
  const isWild = (part: Part | undefined): boolean => part === ANY || part === ONE;
  const all: Part[] = [];
  for (let at = 0; at < parts.length;) {
    let end = at;
    while (isWild(parts[end])) end += 1;
    const run = parts.slice(at, end);
    const ones = run.filter((part) => part === ONE);
    all.push(...(ones.length === run.length ? ones : [ANY, ...ones.flatMap(() => [ONE, ANY])]));
    if (end < parts.length) all.push(parts[end] as Part);
    at = end + 1;
  }
  return all;
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
/** The form of a pattern for queues, whose names have no colon. */
export const QUEUE_FORM = new RegExp(`^(?!.*:)${PATTERN_FORM.source.slice(1)}`);

/** The possible patterns, for messages. */
export const PATTERN_EXPECTED =
  'a name, or a pattern with * and ? such as "report-*", or a list of them';
const AS_IT_IS = String.raw`; \ takes the next character as it is`;

const STARTS_AS_COMPARISON = new RegExp(`^(?:${COMPARISON})`);
const WHOLE_IN_QUOTES = new RegExp(`^${IN_QUOTES}`);
const NEGATED = /^(?:!={0,2}|(?:not|NOT)(?=\s))\s*(.+)$/;
/** A name in a list of another kind of pattern, without marks that mean more there than here. */
const PLAIN = /^(?!\/)(?!.*\.[*+?])[\p{L}\p{N}_:@/*.-]+(?: [\p{L}\p{N}_:@/*.-]+)*$/u;

/** Describes what to write instead of a text that is no pattern. @param path its path in the rules. */
export function describePattern(text: string, path: Path): string {
  if (PATTERN_FORM.test(text))
    return "the name of a queue alone, without the prefix of its keys: BullMQ allows no colon in it";
  return `${describe(text, path)}${AS_IT_IS}`;
}

function describe(text: string, path: Path): string {
  if (text.includes("{{") || /\$\{?[A-Z_]/.test(text))
    return `${PATTERN_EXPECTED}; neither templates nor variables`;
  if (isName(text.trim())) return `"${text.trim()}", without spaces around it`;
  const [, negated] = NEGATED.exec(text) ?? [];
  if (negated !== undefined) return describeOpposite(negated, path);
  const names = alternativesOf(text);
  if (names !== undefined) return `a list: ${writeList(names)}`;
  const bare = withoutQuotes(text);
  if (bare !== text && isName(bare)) return `${quoteWhereNeeded(bare)}, without quotes in the text`;
  const isComparison = STARTS_AS_COMPARISON.test(text) || text.includes("&&");
  return `${PATTERN_EXPECTED}; no ${isComparison ? "comparison" : "regular expression"}`;
}

/** Describes what to write instead of a negation. @param negated the text without the mark of negation. */
function describeOpposite(negated: string, [, , option, condition]: Path): string {
  const name = option === "queue" ? "queueName" : option === "job" ? "name" : String(condition);
  const meant = writeNegated(negated, condition === undefined || name !== String(condition));
  if (meant === undefined)
    return `${option === "unless" ? "when" : "unless"}, with a name or a pattern with * and ?`;
  const opposite = `{ ${quoteWhereNeeded(name)}: ${meant} }`;
  return option === "unless"
    ? `when: ${opposite}`
    : `unless: ${opposite}, or a rule for ${meant} before this one`;
}

/** Writes a negated text as a value of a condition; `undefined` when it is not plain. */
function writeNegated(negated: string, isOfName: boolean): string | undefined {
  const names = alternativesOf(negated);
  if (names !== undefined) return writeList(names);
  if (/^(?:null|undefined)$/i.test(negated)) return isOfName ? undefined : "null";
  const [, inner = withoutQuotes(negated)] = /^[({]([^(){}]*)[)}]$/.exec(negated) ?? [];
  if (inner === "") return isOfName ? undefined : '""';
  return isName(inner) ? quoteWhereNeeded(inner) : undefined;
}

function isName(text: string): boolean {
  return text !== "" && PATTERN_FORM.test(text);
}

function withoutQuotes(text: string): string {
  return WHOLE_IN_QUOTES.test(text) ? text.slice(1, -1) : text;
}

function writeList(names: readonly string[]): string {
  return `[${names.map(quoteWhereNeeded).join(", ")}]`;
}

/** Writes a text as a YAML value between brackets. */
function quoteWhereNeeded(text: string): string {
  const isPlain = /^[A-Za-z][\w./-]*$/.test(text) && !/^(?:true|false|null)$/i.test(text);
  return isPlain ? text : JSON.stringify(text);
}

/** The names in `{a,b}`, `x-(a|b)`, `a, b` or `^a|b$`, if all of them are plain. */
function alternativesOf(text: string): string[] | undefined {
  const bare = text.replaceAll(/^\^|\$$/g, "");
  const [, before = "", inside = bare, after = ""] =
    /^(.*?)@?[{(]([^{}()]*)[})](.*)$/.exec(bare) ?? [];
  // The star in x*(a|b) of a shell, and in (a|b)* of a regular expression, is a repetition.
  if (/[*?+]$/.test(before) || /^[*?+]/.test(after)) return undefined;
  const names = inside.split(/[,|]/).map((name) => `${before}${name.trim()}${after}`);
  return names.length > 1 && names.every((name) => PLAIN.test(name) && isName(name))
    ? names
    : undefined;
}
