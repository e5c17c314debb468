import { describe, expect, it } from "vitest";
import { problemsOf, line } from "./support.ts";

const VALID =
  '{"nodes": ["redis://h"],\n "rules": [{"key": "a", "ttl": 15000, "heartbeat": false}]}';

describe("a rules file with a name that ends in .json", () => {
  it.each<[what: string, text: string, position: string]>([
    ["a comment", '{"nodes": ["redis://h"] # x\n}', "1:25"],
    ["a comma after the last value", '{\n"nodes": ["redis://h"],\n}', "3:1"],
    ["single quotes", "{'nodes': ['redis://h']}", "1:2"],
    ["names without quotes", "{nodes: [redis://h]}", "1:2"],
    ["YAML", "nodes: [a]\nrules: []", "1:1"],
    ["text of its own position", "x at position 99999", "1:1"],
    ["undefined", '{"nodes": undefined}', "1:1"],
  ])("must be JSON: %s is refused", async (_, text, position) => {
    const [problem, ...more] = (await problemsOf(text, {}, "rules.json")).map(line);
    // The engine says where the fault is in some cases only.
    expect(problem).toContain(`${position} : found YAML that is no JSON, expected no comments, `);
    expect(more).toEqual([]);
  });

  it.each(['{"a": [1}', '{"a": 1', '{"a": "\\x4"}', "{} {}"])(
    "must be YAML too: %s",
    async (text) => {
      const [problem] = (await problemsOf(text, {}, "rules.json")).map(line);
      expect(problem).toMatch(/: found text that is no YAML/);
    },
  );

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
});
