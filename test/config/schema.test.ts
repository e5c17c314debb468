import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { defineLocks } from "../../src/config/index.ts";
import { Redlock, withLock } from "../../src/index.ts";
import { makeFolder } from "../testing/folders.ts";

const ROOT = join(import.meta.dirname, "../..");

interface Schema {
  properties: Record<string, Schema>;
  items: Schema;
  additionalProperties?: unknown;
  anyOf?: Schema[];
  const?: unknown;
  enum?: unknown[];
  description?: string;
}

const MATCHING = ["queue", "job", "when", "unless"];
const schema = JSON.parse(readFileSync(join(ROOT, "schema.json"), "utf8")) as Schema;
const ofRule = schema.properties["rules"]!.items.properties;

describe("schema.json", () => {
  it("is what `npm run schema` writes", async () => {
    const file = join(await makeFolder(), "schema.json");
    await promisify(execFile)(process.execPath, ["--import", "tsx", "scripts/schema.ts", file], {
      cwd: ROOT,
    });
    expect(await readFile(join(ROOT, "schema.json"), "utf8")).toBe(await readFile(file, "utf8"));
  });

  it("has every option of withLock that is data, in a rule and at the top", () => {
    const redlock = new Redlock({ nodes: ["redis://a", "redis://b", "redis://c"] });
    const known = optionsNamedBy(() =>
      withLock({ redlock, key: "a", "?": 1 } as never, async () => await Promise.resolve()),
    ).filter((name) => !["redlock", "key", "skipResult"].includes(name));
    expect(known).toContain("onConflict");
    expect(Object.keys(ofRule).sort()).toEqual([...known, ...MATCHING, "key"].sort());
    expect(Object.keys(schema.properties)).toEqual(expect.arrayContaining(known));
  });

  it("has every option of a Redlock that is data, at the top", () => {
    const known = optionsNamedBy(() => new Redlock({ "?": 1 } as never));
    expect(known).toContain("clockSkewBudget");
    expect(Object.keys(schema.properties)).toEqual(
      expect.arrayContaining(known.filter((name) => name !== "telemetry")),
    );
  });

  it("has every part of a master, and no other part", () => {
    const [, { properties, additionalProperties } = {} as Schema] =
      schema.properties["nodes"]!.items.anyOf!;
    expect(Object.keys(properties)).toEqual(
      expect.arrayContaining(["url", "host", "port", "path", "tls"]),
    );
    expect(additionalProperties).toBe(false);
  });

  it("has every choice", () => {
    const redlock = new Redlock({ nodes: ["redis://a", "redis://b", "redis://c"] });
    const choices = Object.entries(ofRule).filter(([, { enum: values }]) => values !== undefined);
    expect(choices.length).toBeGreaterThan(3);
    for (const [name, { enum: values }] of choices) {
      const message = messageOf(() =>
        withLock({ redlock, key: "a", [name]: "?" } as never, async () => await Promise.resolve()),
      );
      const known = Array.from(message.matchAll(/"(\w+)"/g), ([, choice]) => choice);
      expect([name, values]).toEqual([name, known]);
    }
  });

  it("describes every option", () => {
    for (const [name, option] of [
      ...Object.entries(schema.properties),
      ...Object.entries(ofRule),
    ]) {
      expect(option.description, name).toMatch(/\.$/);
      // An editor would insert the default.
      expect(option, name).not.toHaveProperty("default");
    }
  });
});

describe("an option of the rules", () => {
  // withLock and Redlock check the options again, and must accept the same.
  it.each(Object.keys(ofRule).filter((name) => ![...MATCHING, "key"].includes(name)))(
    "%s counts in a rule, and at the top",
    async (name) => {
      const value = exampleOf(name);
      const nodes = ["redis://a", "redis://b", "redis://c"];
      const job = { queueName: "q", name: "n" };
      const beside = EFFECTS[name];
      await using ruled = defineLocks({ nodes, rules: [{ key: "a", ...beside, [name]: value }] });
      expect(ruled.explain(job).options[name]).toBe(value);
      await using topped = defineLocks({
        nodes,
        [name]: value,
        rules: [{ key: "a" }],
      });
      expect(topped.explain(job).options[name]).toBe(value);
      await using plain = defineLocks({ nodes, rules: [{ key: "a" }] });
      expect(plain.explain(job).options[name]).not.toBe(value);
    },
  );
});

/** Options that give others their effect. */
const EFFECTS: Partial<Record<string, object>> = {
  waitTimeout: { onConflict: "wait" },
  onMaxWait: { maxAge: 1 },
};

/** A value that is not the default. */
function exampleOf(name: string): unknown {
  const option = ofRule[name]!;
  if (option.enum !== undefined) return option.enum.at(-1);
  if (name === "ttl" || name === "heartbeat") return 2_500;
  return 7;
}

/** The names that an error about an unknown option lists. */
function optionsNamedBy(act: () => unknown): string[] {
  return (/expected one of (.*)$/.exec(messageOf(act))?.[1] ?? "").split(", ");
}

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
}
