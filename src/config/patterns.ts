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

/** Says what to write in place of something that is no pattern. */
export function describePattern(text: string): string {
  if (PATTERN_FORM.test(text)) {
    return "the name of a queue alone, without the prefix of its keys: BullMQ allows no colon in it";
  }
  if (text.includes("{{") || /\$\{?[A-Z_]/.test(text)) {
    return `${PATTERN_EXPECTED}; neither templates nor variables${AS_IT_IS}`;
  }
  const [, negated] = /^!(.+)/.exec(text) ?? [];
  if (negated !== undefined) {
    return `a rule for ${negated} before this one, or unless: { queueName: ${negated} }${AS_IT_IS}`;
  }
  const names = alternativesOf(text);
  if (names !== undefined) return `a list: [${names.join(", ")}]${AS_IT_IS}`;
  return `${PATTERN_EXPECTED}; no regular expression${AS_IT_IS}`;
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
