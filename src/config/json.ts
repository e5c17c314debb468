import { type Problem, wrongSyntax } from "./problem.ts";
import { mayShow, mayShowName } from "./shown.ts";

const SPACE = /[ \t\n\r]*/y;
const TOKEN =
  /"(?:[ !#-[\]-\u{10FFFF}]|\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4}))*"|(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])|[{}[\]:,]/uy;
const ELSEWHERE = "; YAML is read from a file whose name ends in .yaml or .yml";

/** The tokens that may come next, by their first characters; `v` is a plain value. */
const NEXT = {
  value: ['"v{[', "a value"],
  "first value": ['"v{[]', "a value or ]"],
  name: ['"', "a name in double quotes"],
  "first name": ['"}', "a name in double quotes or }"],
  colon: [":", "a colon"],
} as const;

/** Finds the problem of a text that is no JSON; the errors of `JSON.parse` do not always have its position. */
export function findJsonProblem(text: string): Problem | undefined {
  const open: { kind: "{" | "["; step: string | number }[] = [];
  let next = "value" as keyof typeof NEXT | "end of value";
  let at = 0;
  const fail = (expected: string): Problem => {
    const path = open.map(({ step }) => step);
    const isName = next === "name" || next === "first name" || path.length === 0;
    const isShown = (word: string): boolean =>
      isName ? mayShowName(word, path.slice(0, -1)) : mayShow(path);
    return describe(text, at, expected, isShown);
  };
  for (;;) {
    at += take(SPACE, text, at).length;
    const token = take(TOKEN, text, at);
    const kind = /^[\w-]/.test(token) ? "v" : token.slice(0, 1);
    const inner = open.at(-1);
    const around = inner?.kind;
    const close = around === "{" ? "}" : "]";
    const isEnd = token === "" && at === text.length;
    if (next === "end of value") {
      if (around === undefined && isEnd) return undefined;
      if (around === undefined || (kind !== "," && kind !== close))
        return fail(around === undefined ? "nothing more" : `a comma or ${close}`);
      if (kind === ",") {
        next = around === "{" ? "name" : "value";
        if (typeof inner?.step === "number") inner.step += 1;
      } else open.pop();
    } else {
      const [kinds, expected]: readonly [string, string] = NEXT[next];
      if (kind === "" || !kinds.includes(kind)) return fail(expected);
      if (kind === "{" || kind === "[") {
        open.push({ kind, step: 0 });
        next = kind === "{" ? "first name" : "first value";
      } else if (kind === "}" || kind === "]") {
        open.pop();
        next = "end of value";
      } else if (kind === ":") next = "value";
      else if (next === "name" || next === "first name") {
        if (inner !== undefined) inner.step = String(JSON.parse(token));
        next = "colon";
      } else next = "end of value";
    }
    at += token.length;
  }
}

function take(token: RegExp, text: string, at: number): string {
  token.lastIndex = at;
  return token.exec(text)?.[0] ?? "";
}

/** Values of other languages, and marks. */
const NO_SECRET = /^(?:undefined|NaN|-?Infinity|None|True|False|[{}[\]:,])$/;

function describe(
  text: string,
  at: number,
  expected: string,
  isShown: (word: string) => boolean,
): Problem {
  const rest = text.slice(at, at + 40);
  const [word = ""] = /^[\w.+-]+|^./su.exec(rest) ?? [];
  if (/^(?:#|\/[/*])/.test(rest))
    return wrongSyntax(at, "a comment", `none: JSON has no comments${ELSEWHERE}`);
  if (rest === "") return wrongSyntax(at, "the end of the file", expected);
  if (word === '"' && take(TOKEN, text, at) !== "") return wrongSyntax(at, "a text", expected);
  if (word === '"') {
    const found = "a text without an end, or with a line break or an unknown escape in it";
    return wrongSyntax(at, found, String.raw`one line, with escapes such as \n and \"`);
  }
  // In YAML such a word would be a text, and a key of that text one lock for all jobs.
  const isYaml = /^[A-Za-z_'&*|>!]/.test(word) && !NO_SECRET.test(word);
  const shown = NO_SECRET.test(word) || isShown(word) ? word : "something without quotes";
  return wrongSyntax(
    at,
    word === "'" ? "a single quote" : shown,
    expected + (isYaml ? ELSEWHERE : ""),
  );
}
