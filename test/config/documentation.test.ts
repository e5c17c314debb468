import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";
import { LOCK_DATA_OPTIONS } from "../../src/bullmq/lock-settings.ts";
import type { DataOption } from "../../src/data-option.ts";
import { REDLOCK_OPTIONS } from "../../src/redlock/options.ts";
import { type Conditions, defineLocks, type RuleMatch } from "../../src/config/index.ts";
import { errorOf, problemsOf } from "./support.ts";

const ROOT = join(import.meta.dirname, "../..");
const page = readFileSync(join(ROOT, "docs/configuration.md"), "utf8");

describe("docs/configuration.md", () => {
  it("shows files without a problem", async () => {
    const files = Array.from(page.matchAll(/```yaml\n(.*?)```/gs), ([, file = ""]) => file);
    expect(files).toHaveLength(2);
    for (const file of files) expect(await problemsOf(file)).toEqual([]);
  });

  it("shows rules for users of ten other systems, all without problems", async () => {
    const rows = page.split("\n").filter((line) => /^\|[^|]*\|.*\| `\{.*\|$/.test(line));
    const systems = new Set(rows.map((row) => row.split("|")[1]?.trim()));
    expect(systems.size).toBeGreaterThanOrEqual(10);
    for (const row of rows) {
      const [rule = ""] = /(?<=\| `)\{[^|]*(?:\\\|[^|]*)*\}(?=`)/.exec(row) ?? [];
      const text = `nodes: [redis://h]\nrules:\n  - ${rule.replaceAll("\\|", "|")}\n`;
      expect([rule, await problemsOf(text)]).toEqual([expect.stringContaining("key: "), []]);
    }
  });

  it("explains the effect of [*] on each kind of value", () => {
    const rows = page.split("\n").filter((line) => line.startsWith('| `"data.l[*]'));
    const arrays = [[{ a: "x" }, {}], [{ a: "y" }], [], undefined, null, "text"];
    const shown = rows.map((row) => {
      const [, condition = "", ...cells] = row.split("|").map((cell) => cell.trim());
      const [, path = "", values = ""] = /^`"(.*)": (.*)`$/.exec(condition) ?? [];
      const value = parseYaml(values) as Conditions[string];
      const holds = arrays.map((l) => ruleOf({ when: { [path]: value } }, { l }));
      // unless has the opposite effect.
      expect(arrays.map((l) => !ruleOf({ unless: { [path]: value } }, { l }))).toEqual(holds);
      const said = cells.slice(0, 4).map((cell) => cell === "holds");
      expect(holds).toEqual([...said, said[3], said[3]]);
    });
    expect(shown).toHaveLength(3);
  });

  it("has every option, with its values and its effect", () => {
    const rows = page.split("\n").filter((line) => line.startsWith("| `"));
    const shown = rows.map((row) => row.split("|").map((cell) => cell.trim()));
    const said = Object.entries({ ...REDLOCK_OPTIONS, ...LOCK_DATA_OPTIONS }).map(
      ([name, { takes, says }]: [string, DataOption]) => {
        const choices = typeof takes === "string" ? takes : takes.map((each) => `\`${each}\``);
        return ["", `\`${name}\``, Array.isArray(choices) ? choices.join(", ") : choices, says, ""];
      },
    );
    expect(said.length).toBeGreaterThan(15);
    expect(shown).toEqual(expect.arrayContaining(said));
  });

  it("shows problems as they are reported", async () => {
    const [, shown = ""] = /```text\n(.*?)\n```/s.exec(page) ?? [];
    const error = await errorOf(
      'nodes: [redis://h]\nttl: 10sec\nrules:\n  - key: "account:{{dta.accountId}}"\n',
    );
    const message = error?.message.replaceAll(error.file ?? "", "bullmq-redlock.yaml");
    expect(message).toBe(`2 problems\n${shown}`);
  });
});

describe("the main entry", () => {
  it("loads only ioredis, and rules in code do not load the YAML parser", async () => {
    expect(await loaded("dist/index.js")).toEqual(["ioredis"]);
    expect(await loaded("dist/config/index.js")).toEqual(["valibot", "ioredis"]);
  });
});

/** Whether a rule matches a job with this data. */
function ruleOf(match: RuleMatch, data: unknown): boolean {
  const { explain } = defineLocks({
    nodes: ["redis://a", "redis://b", "redis://c"],
    rules: [{ ...match, key: "a" }],
  });
  return explain({ queueName: "q", name: "n", data }).outcome === "lock";
}

/** The libraries that a file of the package loads. */
async function loaded(entry: string): Promise<string[]> {
  const { stderr } = await promisify(execFile)(
    process.execPath,
    ["--input-type=module", "-e", `await import(${JSON.stringify(join(ROOT, entry))})`],
    { env: { ...process.env, NODE_DEBUG: "esm" }, maxBuffer: 64 * 1024 * 1024 },
  );
  return ["yaml", "valibot", "ioredis"].filter((name) => stderr.includes(`/node_modules/${name}/`));
}
