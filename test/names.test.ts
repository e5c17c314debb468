import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "@babel/parser";
import { expect, test } from "vitest";

/** Characters of the name of a test, or of what several are about: it is read in one go, and in a column of a report. */
const LONGEST = 80;

const folder = fileURLToPath(new URL(".", import.meta.url));

/** The functions that take a name first, also as in `it.each(...)`. */
const NAMED = new Set(["describe", "it", "test"]);

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly name?: string;
  readonly callee?: Node;
  readonly object?: Node;
  readonly tag?: Node;
  readonly arguments?: readonly Node[];
}

/** `it` of `it.skipIf(a).each(b)`. */
function nameOf(callee: Node | undefined): string | undefined {
  if (callee === undefined) return undefined;
  return callee.name ?? nameOf(callee.object ?? callee.callee ?? callee.tag);
}

function namesIn(source: string): string[] {
  const names: string[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const { type, callee, arguments: [first] = [] } = value as Node;
    const isText = first?.type === "StringLiteral" || first?.type === "TemplateLiteral";
    if (type === "CallExpression" && isText && NAMED.has(nameOf(callee) ?? "")) {
      names.push(source.slice(first.start + 1, first.end - 1));
    }
    for (const child of Object.values(value)) visit(child);
  };
  visit(
    parse(source, { sourceType: "module", plugins: ["typescript", "decorators-legacy"] }).program,
  );
  return names;
}

test(`the name of a test has at most ${LONGEST} characters`, () => {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const names = files
    .filter((file) => file.endsWith(".test.ts"))
    .flatMap((file) => namesIn(readFileSync(new URL(file, import.meta.url), "utf8")));
  expect(names.length).toBeGreaterThan(500);
  expect(names.filter(({ length }) => length > LONGEST)).toEqual([]);
});
