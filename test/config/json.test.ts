import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findJsonProblem } from "../../src/config/json.ts";
import { problemsOf, line } from "./support.ts";

const VALID =
  '{"nodes": ["redis://h"],\n "rules": [{"key": "a", "ttl": 15000, "heartbeat": false}]}';
const ELSEWHERE = "; YAML is read from a file whose name ends in .yaml or .yml";

describe("a rules file whose name ends in .json", () => {
  it.each<[what: string, text: string, problem: string]>([
    ["undefined", '{"nodes": undefined}', "1:11 : found undefined, expected a value"],
    [
      "undefined in a rule",
      '{"rules": [{"key": undefined}]}',
      "1:20 : found undefined, expected a value",
    ],
    ["None", '{"rules": [{"key": None}]}', "1:20 : found None, expected a value"],
    ["no number", '{"ttl": NaN}', "1:9 : found NaN, expected a value"],
    ["a hexadecimal number", '{"ttl": 0x10}', "1:9 : found 0x10, expected a value"],
    ["a leading zero", '{"ttl": 01}', "1:9 : found 01, expected a value"],
    [
      "a comment",
      "{\n# x\n}",
      `2:1 : found a comment, expected none: JSON has no comments${ELSEWHERE}`,
    ],
    [
      "another comment",
      '{"a": 1 /* x */}',
      `1:9 : found a comment, expected none: JSON has no comments${ELSEWHERE}`,
    ],
    ["a comma after the last value", '{"nodes": ["a",\n]}', "2:1 : found ], expected a value"],
    [
      "a comma after the last member",
      '{"a": 1,}',
      "1:9 : found }, expected a name in double quotes",
    ],
    [
      "single quotes",
      "{'a': 1}",
      `1:2 : found a single quote, expected a name in double quotes or }${ELSEWHERE}`,
    ],
    [
      "a name without quotes",
      "{a: 1}",
      `1:2 : found a, expected a name in double quotes or }${ELSEWHERE}`,
    ],
    ["YAML", "nodes: [a]\nrules: []", `1:1 : found nodes, expected a value${ELSEWHERE}`],
    ["a name alone", '{"a"}', "1:5 : found }, expected a colon"],
    ["nothing after a name", '{"a":}', "1:6 : found }, expected a value"],
    ["no comma", '{"a": 1 "b": 2}', "1:9 : found a text, expected a comma or }"],
    ["the wrong bracket", '{"a": [1}', "1:9 : found }, expected a comma or ]"],
    ["too many brackets", '{"a": [1]]}', "1:10 : found ], expected a comma or }"],
    ["an end too early", '{"a": [1', "1:9 : found the end of the file, expected a comma or ]"],
    ["two values", "{} {}", "1:4 : found {, expected nothing more"],
    [
      "a line break in a text",
      '{"a": "x\ny"}',
      String.raw`1:7 : found a text without an end, or with a line break or an unknown escape in it, expected one line, with escapes such as \n and \"`,
    ],
    [
      "an unknown escape",
      String.raw`{"a": "\x41"}`,
      String.raw`1:7 : found a text without an end, or with a line break or an unknown escape in it, expected one line, with escapes such as \n and \"`,
    ],
  ])("must be JSON: %s is refused", async (_, text, problem) => {
    expect((await problemsOf(text, {}, "rules.json")).map(line)).toEqual([problem]);
    expect(() => void JSON.parse(text)).toThrow(SyntaxError);
  });

  it("has each name once", async () => {
    const text = '{"nodes": ["redis://h"], "rules": [{"key": "a"}],\n "rules": [{"key": "b"}]}';
    expect((await problemsOf(text, {}, "rules.json")).map(line)).toEqual([
      '2:2 : found "rules" a second time, expected each name once',
    ]);
  });

  it("may have everything that JSON allows", async () => {
    const text = `\r\n\t${VALID.replace('"a"', String.raw`"a\u003a\/\\\\b"`)}\n`;
    expect(await problemsOf(text, {}, "rules.json")).toEqual([]);
    expect(await problemsOf(text, {}, "RULES.JSON")).toEqual([]);
  });

  it("is JSON where JSON.parse says so, and nowhere else", () => {
    const piece = fc.constantFrom(
      ..."{ } [ ] : , \" ' # // 0 1 -1 1. .5 1e5 1.5e4 1e true null nul \\ \\n \\u00 \t \n".split(
        " ",
      ),
      " ",
      '"a"',
      '"a":',
    );
    const text = fc.oneof(
      fc.json(),
      fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join("")),
      fc
        .tuple(fc.nat(VALID.length), fc.nat(3), piece)
        .map(([at, gone, added]) => VALID.slice(0, at) + added + VALID.slice(at + gone)),
    );
    let [right, wrong] = [0, 0];
    fc.assert(
      fc.property(text, (text) => {
        const problem = findJsonProblem(text);
        if (isJson(text)) right += 1;
        else wrong += 1;
        expect(problem === undefined).toBe(isJson(text));
        // The position is inside of the text.
        if (problem !== undefined) expect(problem.at).toBeLessThanOrEqual(text.length);
      }),
      { numRuns: 3_000 },
    );
    expect(Math.min(right, wrong)).toBeGreaterThan(300);
  });
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
