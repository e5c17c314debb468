import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadLocks, LockRulesError } from "../../src/config/index.ts";
import { check } from "../../src/config/check.ts";
import { readDocument } from "../../src/config/document.ts";
import { errorOf, problemsOf, line, writeRules } from "./support.ts";
import { makeFolder } from "../testing/folders.ts";

const VALID = `# yaml-language-server: $schema=./node_modules/bullmq-redlock/schema.json
nodes: [redis://lock-1:6379, redis://lock-2:6379, {host: lock-3}]
ttl: 15s
onUnavailable: delay
rules:
  - &first
    queue: "report-*"
    key: "report:{{data.date ?? 'today'}}"
  - queue: invoices
    job: charge
    key: 'account:{{data.items[*].id}}'
    heartbeat: false
  - queue: "*"
    key: null
`;

describe("a file that is no rules file", () => {
  it.each<[what: string, content: string | Uint8Array, found: string]>([
    ["empty", "", "an empty file"],
    ["blank", " \n\t\n", "an empty file"],
    ["binary", Uint8Array.of(0x7f, 0x45, 0x4c, 0x0a, 0x46, 0, 1), "a binary file"],
    ["UTF-16", Buffer.from("\uFEFFnodes: []", "utf16le"), "text that is not UTF-8"],
    ["Latin-1", Buffer.from("# A\n# Zürich", "latin1"), "text that is not UTF-8"],
    ["too large", "#".repeat(1_048_577), "more than 1 MiB (1048576 bytes)"],
  ])("is refused when it is %s", async (_, content, found) => {
    const error = await errorOf(content);
    expect(error?.message).toBe(
      `${error?.file}  found ${found}, expected a text file with nodes and rules, in YAML or JSON`,
    );
  });

  it("is refused when it is a directory, a pipe, or not there", async () => {
    const folder = await makeFolder();
    await expect(loadLocks(folder)).rejects.toThrow("found a directory, expected a text file");
    await expect(loadLocks("")).rejects.toThrow("path: found an empty text, expected the path");
    await expect(loadLocks(join(folder, "none.yaml"))).rejects.toThrow("found no such file");
    await promisify(execFile)("mkfifo", [join(folder, "pipe")]);
    await expect(loadLocks(join(folder, "pipe"))).rejects.toThrow("found no regular file");
  });

  it.each<[what: string, text: string, problem: RegExp]>([
    ["brackets", `nodes: ${"[".repeat(200_000)}`, /^1:\d+ : found more than 50 levels of nesting/],
    ["closed brackets", `nodes: ${"[".repeat(5_000)}${"]".repeat(5_000)}`, /found more than 50/],
    ["braces", `nodes: ${'{"a":'.repeat(100_000)}`, /found more than 50 levels of nesting/],
    ["dashes", `nodes:\n${"- ".repeat(200_000)}x`, /^2:\d+ : found more than 50 levels/],
    [
      "lines",
      Array.from({ length: 300 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
      /^\d+:\d+ : found more than 50 levels/,
    ],
    [
      "an alias in itself",
      "nodes: &n [*n]\nrules: []",
      /found more than 20000 values by aliases, or an alias/,
    ],
    [
      "aliases of aliases",
      [
        "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]",
        ..."bcdefghi".split("").map((name, i) => {
          const before = "abcdefgh"[i];
          return `${name}: &${name} [${`*${before},`.repeat(9)}]`;
        }),
      ].join("\n"),
      /^1:\d+ : found more than 20000 values by aliases, or an alias inside of itself/,
    ],
  ])("is refused quickly when it is too deep or too large: %s", async (_, text, problem) => {
    const problems = (await problemsOf(text)).map(line);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(problem);
  });

  it("is read with Windows line ends and a byte order mark", async () => {
    expect(await problemsOf(`\uFEFF${VALID.replaceAll("\n", "\r\n")}`)).toEqual([]);
    const [problem] = await problemsOf(
      `\uFEFF${VALID.replaceAll("\n", "\r\n").replace("15s", "15")}`,
    );
    expect(problem).toMatchObject({ line: 3, column: 6, source: { text: "ttl: 15", caret: 5 } });
  });

  it("may use anchors for values that are repeated", async () => {
    const text = `nodes: &masters [redis://h]\nrules: [&a {key: x, job: a, ttl: 10s}, {key: &k "y:{{id}}", job: b}, {key: *k}]`;
    expect(await problemsOf(text)).toEqual([]);
    const wrong = text.replace("{{id}}", "{{di}}");
    expect((await problemsOf(wrong)).map(({ path, column }) => [path, column])).toEqual([
      ["rules[1].key", 54],
      ["rules[2].key", wrong.indexOf("*k") - wrong.indexOf("\n")],
    ]);
  });
});

describe("any text", () => {
  it("is rules without a problem, or a list of problems inside of it", () => {
    const piece = fc.constantFrom(
      "nodes",
      "rules",
      "key",
      "ttl",
      "queue",
      "null",
      "redis://h",
      "15s",
      "{{data.a}}",
      "*a",
      "&a",
      ": ",
      "- ",
      ", ",
      "\n",
      "\n  ",
      "[",
      "]",
      "{",
      "}",
      '"',
      "'",
      "#",
      "|",
      ">",
      "!",
      "?",
      "%",
      "@",
      "`",
      "\t",
      "\r",
      "---\n",
      "${A}",
      "<<",
      "__proto__",
      "\u2028",
      "\uD83D",
      "🙂",
    );
    const mutated = fc
      .tuple(fc.nat(VALID.length), fc.nat(20), fc.array(piece, { maxLength: 3 }))
      .map(([at, gone, added]) => VALID.slice(0, at) + added.join("") + VALID.slice(at + gone));
    const text = fc.oneof(
      mutated,
      fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join("")),
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.json(),
    );
    let [right, wrong] = [0, 0];
    fc.assert(
      fc.property(text, (text) => {
        const document = readDocument(text);
        const { value, unreadable } = document;
        const { problems } = check(value, { A: "redis://a" }, unreadable);
        const offsets = [...document.problems, ...problems].map((problem) =>
          document.offsetOf(problem),
        );
        const lines = text.split(/\r\n|[\n\r]/).length;
        for (const offset of offsets) {
          expect(offset).toBeLessThanOrEqual(text.length);
          const { line, column } = document.positionOf(offset);
          expect(line).toBeGreaterThan(0);
          expect(line).toBeLessThanOrEqual(lines);
          expect(column).toBeGreaterThan(0);
        }
        if (offsets.length === 0) right += 1;
        else wrong += 1;
      }),
      { numRuns: 1_000 },
    );
    expect(right).toBeGreaterThan(10);
    expect(wrong).toBeGreaterThan(200);
  });

  it("cut off anywhere is a problem or rules, never another error", async () => {
    const folder = await makeFolder();
    await mkdir(folder, { recursive: true });
    const path = join(folder, "rules.yaml");
    for (let length = 0; length < VALID.length; length += 7) {
      await writeFile(path, VALID.slice(0, length));
      const outcome = await loadLocks(path).then(
        async (locks) => await locks.close(),
        (error: unknown) => error,
      );
      if (outcome !== undefined) expect(outcome).toBeInstanceOf(LockRulesError);
    }
  });

  it("is right as it is", async () => {
    const locks = await loadLocks(await writeRules(VALID));
    await locks.close();
  });
});
