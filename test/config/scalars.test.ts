import { describe, expect, it } from "vitest";
import { problemsOf, line } from "./support.ts";

const NODES = "nodes: [redis://lock-1, redis://lock-2, redis://lock-3]";

describe("a value without quotes that YAML reads as another text", () => {
  it.each([
    ["1.10", "1.1"],
    ["1.0", "1"],
    ["01234", "1234"],
    ["0x10", "16"],
    ["0o17", "15"],
    ["+5", "5"],
    ["-0", "0"],
    ["1e3", "1000"],
    ["12345678901234567890", "12345678901234567000"],
    ["0.1234567890123456789", "0.12345678901234568"],
    ["True", "true"],
    ["FALSE", "false"],
    ["Null", "null"],
    ["NULL", "null"],
    ["12e4567", "Infinity"],
    [".nan", "NaN"],
  ])("%s is refused, with what to write", async (written, read) => {
    const text = `${NODES}
rules:
- queue: ${written}
  job: [a, ${written}]
  when: { data.a: ${written}, data.b: [x, ${written}] }
  unless: { data.a: ${written} }
  key: ${written}
  ttl: ${written}
`;
    const found = `found ${written}, which is read as ${read}`;
    const problem = `${found}, expected "${written}" in quotes for this text, or the value as it is read`;
    expect((await problemsOf(text)).map(line)).toEqual([
      `3:10 rules[0].queue: ${problem}`,
      `4:12 rules[0].job[1]: ${problem}`,
      `5:19 rules[0].when["data.a"]: ${problem}`,
      `5:${33 + written.length} rules[0].when["data.b"][1]: ${problem}`,
      `6:21 rules[0].unless["data.a"]: ${problem}`,
      `7:8 rules[0].key: ${problem}`,
      `8:8 rules[0].ttl: ${problem}`,
    ]);
  });

  it("is refused in a master, and not shown: it may be a password", async () => {
    const text = `nodes: [{host: h, password: 00123, username: 1.10}]\nrules: [{key: a}]`;
    const problems = await problemsOf(text);
    expect(problems.map(line)).toEqual([
      "1:29 nodes[0].password: found a value that is read as another text, expected quotes around it",
      "1:46 nodes[0].username: found a value that is read as another text, expected quotes around it",
    ]);
    expect(JSON.stringify(problems)).not.toContain("00123");
  });

  it("is refused in JSON too", async () => {
    const text = '{"nodes": ["redis://h"], "rules": [{"when": {"data.v": 1.10}, "key": "a"}]}';
    expect((await problemsOf(text, {}, "rules.json")).map(line)).toEqual([
      '1:56 rules[0].when["data.v"]: found 1.10, which is read as 1.1, expected "1.10" in quotes for this text, or the value as it is read',
    ]);
  });

  it("is accepted where it reads as written, and in names", async () => {
    const text = `${NODES}
ttl: 3000
driftFactor: 0.02
rules:
- when: { data.a: 1, data.b: -1.5, data.c: true, data.d: null, data.e: ~, data.f: "1.10", data.1.10: yes, data.g: 1.2.3 }
  key: null
- key: ~
`;
    expect(await problemsOf(text)).toEqual([]);
  });
});
