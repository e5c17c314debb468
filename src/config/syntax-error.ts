import type { YAMLError } from "yaml";
import type { TextProblem } from "./document.ts";
import type { Stretch } from "./source-line.ts";

/** What stands in a rules file, for error messages. */
export const PLAIN_VALUES = "plain values: text, numbers, true, false, null";

/** Faults that leave no doubt about what stands around them. */
export const IS_LOCAL: ReadonlySet<string> = new Set<YAMLError["code"]>([
  "DUPLICATE_KEY",
  "NON_STRING_KEY",
  "BAD_SCALAR_START",
  "BAD_ALIAS",
  "MULTIPLE_DOCS",
]);

const QUOTES = "quotes around a text with marks of YAML in it";

/** What is wrong, by how the parser says it; its own words are those of a grammar, and repeat parts of the text. */
const FAULTS: readonly (readonly [message: RegExp, found: string, expected: string])[] = [
  [/^MULTIPLE_DOCS/, "a second document", "one"],
  [/^TAB_AS_INDENT/, "a tab", "spaces before the first character"],
  [/^NON_STRING_KEY/, "a name that is no text", "the name of an option"],
  [/^RESOURCE_EXHAUSTION/, "too much nesting", "nodes, options and rules"],
  [/Missing closing/, "a text whose quote has no end", "the same quote behind it"],
  [/end with a \]/, "a bracket that is open", "] behind what stands in it, and all of it indented"],
  [/end with a \}/, "a brace that is open", "} behind what stands in it, and all of it indented"],
  [/Missing , /, "two values side by side", "a comma between them"],
  [/Missing space after :/, "a colon right before a value", "a space between them"],
  [/^BAD_INDENT|without - indicator/, "another indentation", "that of the lines around it"],
  [/Implicit (map )?keys/, "a line without a colon", "a name, a colon and a space before a value"],
  [/Nested mappings/, "a second colon", QUOTES],
  [/Invalid escape/, "an unknown escape", "two backslashes for one, or single quotes"],
  [/Block scalar header/, "text behind | or >", "a line break, or quotes around all of it"],
  [
    /at node end|same line with key|in YAML stream/,
    "text behind the end of a value",
    `a line break, or ${QUOTES}`,
  ],
  [/Comments must/, "# right behind a value", "a space before a comment"],
  [/directive/i, "% at the beginning of a line, or dashes and dots", "nodes, options and rules"],
];

/**
 * Says what is wrong with the text, for people who do not know the grammar of YAML.
 *
 * @param stretches what was read: without them nothing of the text may be shown.
 */
export function describeSyntaxError(
  { code, message, pos }: YAMLError,
  text: string,
  stretches: readonly Stretch[],
): TextProblem {
  // What is missing at the end of the file is missing behind its last character.
  const at = Math.min(pos[0], text.trimEnd().length);
  const shown = stretches.find(({ start, isShown }) => isShown && start === at);
  const word = shown && text.slice(shown.start, shown.end).split("\n", 1)[0];
  const [found, expected] = describe(code, message, text, at, pos[1], word);
  return { at, found, expected };
}

function describe(
  code: YAMLError["code"],
  message: string,
  text: string,
  at: number,
  end: number,
  word: string | undefined,
): readonly [found: string, expected: string] {
  const line = lineAround(text, at);
  const isBraced = text.slice(at, end + 2).includes("{");
  if (isBraced && (code === "NON_STRING_KEY" || line.includes("{{")))
    return [
      "braces that are read as an object",
      'a template in quotes: "account:{{data.accountId}}"',
    ];
  if (/(^|[[,\s])\$\{/.test(line) && code !== "DUPLICATE_KEY")
    return ["braces that are read as an object", 'a variable in quotes: "${NAME}"'];
  if (code === "DUPLICATE_KEY") return [`${word ?? "a name"} a second time`, "each name once"];
  if (code === "BAD_ALIAS" || code === "BAD_SCALAR_START")
    return [
      `${word ?? "a text"} without quotes`,
      `${word === undefined ? "quotes around it" : `"${word}"`}: some characters begin no plain text in YAML`,
    ];
  const [, found, expected] = FAULTS.find(([pattern]) => pattern.test(`${code} ${message}`)) ?? [];
  return [found ?? "text that is no YAML", expected ?? "YAML or JSON"];
}

function lineAround(text: string, at: number): string {
  const start = text.lastIndexOf("\n", at - 1) + 1;
  const end = text.indexOf("\n", at);
  return text.slice(start, end === -1 ? undefined : end);
}
