import type { Path } from "./problem.ts";

/** What a pattern of another kind is, and how one begins, or is as a whole. A backslash before any of it makes it a name. */
const REGULAR_EXPRESSION = String.raw`\^|\/.*\/[a-z]*$|\.[*+?]|\(.*(?<!\\)\)[*+?]?$|\(\?[:!=<]`;
const COMPARISON = String.raw`[<>=~]|-?\d+\.\.\.?-?\d+$`;
const NEGATION = String.raw`!|not\s|NOT\s`;
const IN_QUOTES = "([\"'`]).*(?<!\\\\)\\1$";

/**
 * The form of a pattern. What can only be meant as a pattern of another kind is refused: taken as it is, it would match no
 * job, and a later rule might let the jobs that were meant run without a lock.
 */
export const PATTERN_FORM = new RegExp(
  String.raw`^(?!\s|${NEGATION}|${REGULAR_EXPRESSION}|${COMPARISON}|${IN_QUOTES})` +
    String.raw`(?!.*(?<!\\)[\s$]$)(?!.*[^+\\]\+$)(?!.*(?<!\\)\.\+)(?!.*(?<!\\)&&)` +
    String.raw`(?:\\[^A-Za-z0-9]|(?![*?+@]\()[^\\{}[\]|,])*$`,
);
/** The form of a pattern for queues, whose names have no colon. */
export const QUEUE_FORM = new RegExp(`^(?!.*:)${PATTERN_FORM.source.slice(1)}`);

/** What a pattern may be, for error messages. */
export const PATTERN_EXPECTED =
  'a name, or a pattern with * and ? such as "report-*", or a list of them';
const AS_IT_IS = String.raw`; \ takes the next character as it is`;

const STARTS_AS_COMPARISON = new RegExp(`^(?:${COMPARISON})`);
const WHOLE_IN_QUOTES = new RegExp(`^${IN_QUOTES}`);
const NEGATED = /^(?:!={0,2}|(?:not|NOT)(?=\s))\s*(.+)$/;
/** What a name of a list may be that stood in a pattern of another kind: nothing that means more there than here. */
const PLAIN = /^(?!\/)(?!.*\.[*+?])[\p{L}\p{N}_:@/*.-]+(?: [\p{L}\p{N}_:@/*.-]+)*$/u;

/** Says what to write in place of something that is no pattern. @param path where it stands in the rules. */
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

/** What to write in place of a negation, of which all but the mark of negation is given. */
function describeOpposite(negated: string, [, , place, condition]: Path): string {
  const name = place === "queue" ? "queueName" : place === "job" ? "name" : String(condition);
  const meant = writeNegated(negated, condition === undefined || name !== String(condition));
  if (meant === undefined)
    return `${place === "unless" ? "when" : "unless"}, with a name or a pattern with * and ?`;
  const opposite = `{ ${quoteWhereNeeded(name)}: ${meant} }`;
  return place === "unless"
    ? `when: ${opposite}`
    : `unless: ${opposite}, or a rule for ${meant} before this one`;
}

/** What was negated, as rules have it; `undefined` when it is not plain. */
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

/** Writes a text as YAML has it between brackets. */
function quoteWhereNeeded(text: string): string {
  const isPlain = /^[A-Za-z][\w./-]*$/.test(text) && !/^(?:true|false|null)$/i.test(text);
  return isPlain ? text : JSON.stringify(text);
}

/** The names in `{a,b}`, `x-(a|b)`, `a, b` or `^a|b$`, if all of them are plain. */
function alternativesOf(text: string): string[] | undefined {
  const bare = text.replaceAll(/^\^|\$$/g, "");
  const [, before = "", inside = bare, after = ""] =
    /^(.*?)@?[{(]([^{}()]*)[})](.*)$/.exec(bare) ?? [];
  // In x*(a|b) of a shell, and in (a|b)* of a regular expression, the star says how often.
  if (/[*?+]$/.test(before) || /^[*?+]/.test(after)) return undefined;
  const names = inside.split(/[,|]/).map((name) => `${before}${name.trim()}${after}`);
  return names.length > 1 && names.every((name) => PLAIN.test(name) && isName(name))
    ? names
    : undefined;
}
