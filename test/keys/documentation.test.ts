import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { LockConfigError, LockKeyError } from "../../src/errors.ts";
import type { KeyJob } from "../../src/keys/job.ts";
import { type KeyFunction, createKeyResolver } from "../../src/keys/resolver.ts";

const page = read("../../docs/lock-keys.md");
const examples = page
  .split("\n\n")
  .flatMap(readTable)
  // A table that has no example.
  .filter((row) => row["Not there"] === undefined);

describe("docs/lock-keys.md", () => {
  it("has examples of every kind", () => {
    const kinds = examples.map((example) => Object.keys(example).join(" "));
    expect([...new Set(kinds)].sort()).toEqual([
      "Function Data Error",
      "Function Data Keys",
      "Template Data Error",
      "Template Data Keys",
      "Template Error",
      "Templates Data Keys",
    ]);
    expect(examples.length).toBeGreaterThan(30);
  });

  it.each(examples.map((example) => [Object.values(example).join(" | "), example] as const))(
    "tells the truth: %s",
    (_, example) => {
      const act = () => resolve(example);
      if (example["Keys"] !== undefined) expect(act()).toEqual(readKeys(example["Keys"]));
      else {
        expect(act).toThrow(example["Data"] === undefined ? LockConfigError : LockKeyError);
        expect(act).toThrow(code(example["Error"]));
      }
    },
  );

  it("shows a configuration error as it is", () => {
    const [, message = ""] = /```text\n(.*?)\n```/s.exec(page) ?? [];
    const [, template = ""] = message.split("\n");
    expect(() => createKeyResolver(template.trim())).toThrow(message);
  });

  it("shows calls that the type tests make", () => {
    const [, block = ""] = /```ts\n(interface .*?)\n```/s.exec(page) ?? [];
    const calls = block.split("\n").filter((line) => line.startsWith("withLock("));
    expect(calls).toHaveLength(4);
    for (const call of calls) expect(read("./template-types.test.ts")).toContain(call);
  });
});

function resolve(example: Record<string, string>): string[] | null {
  const { Template: template, Templates: templates } = example;
  const key =
    template === undefined
      ? (runInThisContext(`(${code(templates ?? example["Function"])})`) as KeyFunction | string[])
      : code(template);
  const data: unknown = JSON.parse(code(example["Data"] ?? "`{}`"));
  const job: KeyJob = { id: "42", name: "charge", queueName: "orders", data, opts: {} };
  return createKeyResolver(key)(job)?.keys ?? null;
}

function readKeys(cell: string): string[] | null {
  return cell === "null" ? null : cell.split(", ").map(code);
}

/** Takes the backticks off. */
function code(cell = ""): string {
  expect(cell).toMatch(/^`.*`$/);
  return cell.slice(1, -1);
}

function readTable(paragraph: string): Record<string, string>[] {
  const [head, , ...rows] = paragraph
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll("\\|", "|")),
    );
  return rows.map((row) => Object.fromEntries(row.map((cell, index) => [head?.[index], cell])));
}

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), "utf8");
}
