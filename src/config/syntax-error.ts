import type { YAMLError } from "yaml";
import type { TextFault } from "./document.ts";

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

/** Says what is wrong with the text, for people who do not know the grammar of YAML. */
export function describeSyntaxError({ code, message, pos }: YAMLError, text: string): TextFault {
  // What is missing at the end of the file is missing behind its last character.
  const at = Math.min(pos[0], text.trimEnd().length);
  const [found, expected] = describe(code, message, text, at, pos[1]);
  return { at, found, expected };
}

function describe(
  code: YAMLError["code"],
  message: string,
  text: string,
  at: number,
  end: number,
): [found: string, expected: string] {
  const line = lineAround(text, at);
  const [word = ""] = /^("[^"\n]*"|'[^'\n]*'|[^\s,:\]}]*)/.exec(text.slice(at)) ?? [];
  const isBraced = text.slice(at, end + 2).includes("{");
  if (isBraced && (code === "NON_STRING_KEY" || line.includes("{{")))
    return [
      "braces that are read as an object",
      'a template in quotes: "account:{{data.accountId}}"',
    ];
  if (/(^|[[,\s])\$\{/.test(line) && code !== "DUPLICATE_KEY")
    return ["braces that are read as an object", 'a variable in quotes: "${NAME}"'];
  switch (code) {
    case "DUPLICATE_KEY":
      return [`${word} a second time`, "each name once"];
    case "MULTIPLE_DOCS":
      return ["a second document", "one"];
    case "TAB_AS_INDENT":
      return ["a tab", "spaces before the first character"];
    case "NON_STRING_KEY":
      return ["a name that is no text", "the name of an option"];
    case "BAD_ALIAS":
    case "BAD_SCALAR_START":
      return [`${word} without quotes`, `"${word}": some characters begin no plain text in YAML`];
    case "RESOURCE_EXHAUSTION":
      return ["too much nesting", "nodes, options and rules"];
    default: {
      const [first = ""] = message.split("\n");
      const what = `${first.slice(0, 1).toLowerCase()}${first.slice(1)}`;
      return [`text that is no YAML (${what})`, "YAML or JSON"];
    }
  }
}

function lineAround(text: string, at: number): string {
  const start = text.lastIndexOf("\n", at - 1) + 1;
  const end = text.indexOf("\n", at);
  return text.slice(start, end === -1 ? undefined : end);
}
