import type { Path } from "./mistake.ts";

/**
 * The form of a pattern. What can only be meant as a pattern of another kind is refused: taken as it is, it would match no
 * job, and a later rule might let the jobs that were meant run without a lock.
 */
export const PATTERN_FORM =
  /^(?![\s!^]|\/.*\/[a-z]*$)(?!.*(?<!\\)[\s$]$)(?:\\[^A-Za-z0-9]|(?![*?+@]\()[^\\{}[\]|,])*$/;
/** The form of a pattern for queues, whose names have no colon. */
export const QUEUE_FORM = new RegExp(`^(?!.*:)${PATTERN_FORM.source.slice(1)}`);

/** What a pattern may be, for error messages. */
export const PATTERN_EXPECTED =
  'a name, or a pattern with * and ? such as "report-*", or a list of them';
const AS_IT_IS = String.raw`; \ takes the next character as it is`;

/** Says what to write in place of something that is no pattern. @param path where it stands in the rules. */
export function describePattern(text: string, path: Path): string {
  if (PATTERN_FORM.test(text))
    return "the name of a queue alone, without the prefix of its keys: BullMQ allows no colon in it";
  return `${describe(text, path)}${AS_IT_IS}`;
}

function describe(text: string, [, , place, condition]: Path): string {
  if (text.includes("{{") || /\$\{?[A-Z_]/.test(text))
    return `${PATTERN_EXPECTED}; neither templates nor variables`;
  if (/^\s|\s$/.test(text) && PATTERN_FORM.test(text.trim()) && text.trim() !== "")
    return `"${text.trim()}", without spaces around it`;
  const [, negated] = /^!(.+)/.exec(text) ?? [];
  const names = alternativesOf(negated ?? text);
  const list = names && `[${names.map(quoteWhereNeeded).join(", ")}]`;
  if (negated !== undefined) {
    const meant = list ?? quoteWhereNeeded(negated);
    const name = place === "queue" ? "queueName" : place === "job" ? "name" : String(condition);
    const opposite = `{ ${quoteWhereNeeded(name)}: ${meant} }`;
    return place === "unless"
      ? `when: ${opposite}`
      : `unless: ${opposite}, or a rule for ${meant} before this one`;
  }
  return list === undefined ? `${PATTERN_EXPECTED}; no regular expression` : `a list: ${list}`;
}

/** Writes a text as YAML has it between brackets. */
function quoteWhereNeeded(text: string): string {
  const isPlain = /^[A-Za-z][\w./-]*$/.test(text) && !/^(?:true|false|null)$/i.test(text);
  return isPlain ? text : JSON.stringify(text);
}

/** The names in `{a,b}`, `x-(a|b)`, `a, b` or `^a|b$`. */
function alternativesOf(text: string): string[] | undefined {
  const bare = text.replaceAll(/^\^|\$$/g, "");
  const [, before = "", inside = bare, after = ""] =
    /^(.*?)[@+]?[{(]([^{}()]*)[})](.*)$/.exec(bare) ?? [];
  const names = inside.split(/[,|]/).map((name) => `${before}${name.trim()}${after}`);
  return names.length > 1 && names.every((name) => name !== "" && PATTERN_FORM.test(name))
    ? names
    : undefined;
}
