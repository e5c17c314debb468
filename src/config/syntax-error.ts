import type { YAMLError } from "yaml";
import type { TextFault } from "./document.ts";

/** Says what is wrong with the text, for people who do not know the grammar of YAML. */
export function describeSyntaxError({ code, message, pos }: YAMLError, text: string): TextFault {
  const [, end] = pos;
  // What is missing at the end of the file is missing behind its last character.
  const at = Math.min(pos[0], text.trimEnd().length);
  const line = lineAround(text, at);
  const fault = (found: string, expected: string): TextFault => ({ at, found, expected });
  if (code === "DUPLICATE_KEY") {
    const name = /^[\w$-]+|^"[^"\n]*"|^'[^'\n]*'/.exec(text.slice(at))?.[0] ?? "a name";
    return fault(`${name} a second time`, "each name once");
  }
  if (code === "MULTIPLE_DOCS") return fault("a second document", "one");
  if (code === "TAB_AS_INDENT") return fault("a tab", "spaces before the first character");
  const isBraced = text.slice(at, end + 2).includes("{");
  if (isBraced && (code === "NON_STRING_KEY" || line.includes("{{"))) {
    return fault(
      "braces that are read as an object",
      'a template in quotes: "account:{{data.accountId}}"',
    );
  }
  if (code === "NON_STRING_KEY") return fault("a name that is no text", "the name of an option");
  if (/(^|[[,\s])\$\{/.test(line)) {
    return fault("braces that are read as an object", 'a variable in quotes: "${NAME}"');
  }
  if (code === "TAG_RESOLVE_FAILED")
    return fault("a tag", "plain values: text, numbers, true, false, null");
  if (code === "RESOURCE_EXHAUSTION") return fault("too much nesting", "nodes, options and rules");
  const [first = ""] = message.split("\n");
  return fault(
    `text that is no YAML (${first.slice(0, 1).toLowerCase()}${first.slice(1)})`,
    "YAML or JSON",
  );
}

function lineAround(text: string, at: number): string {
  const start = text.lastIndexOf("\n", at - 1) + 1;
  const end = text.indexOf("\n", at);
  return text.slice(start, end === -1 ? undefined : end);
}
