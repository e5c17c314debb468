import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { defineLocks, loadLocks, type Locks } from "../../src/config/index.ts";
import { byHand } from "./settings/by-hand.ts";
import { githubActions } from "./settings/github-actions.ts";
import { jobQueues } from "./settings/job-queues.ts";
import { orchestrators } from "./settings/orchestrators.ts";
import { pipelines } from "./settings/pipelines.ts";
import type { Setting } from "./settings/setting.ts";
import { writeRules } from "./support.ts";

const NODES = ["redis://lock-1", "redis://lock-2", "redis://lock-3"];
const environment = { APP_ENV: "staging" };
const all = { githubActions, pipelines, orchestrators, jobQueues, byHand };

describe("a setting of another system", () => {
  it("is one of more than forty", () => {
    expect(Object.values(all).flat().length).toBeGreaterThan(50);
  });

  const named = Object.entries(all).flatMap(([system, settings]) =>
    settings.map((setting) => [system, setting.what, setting] as const),
  );
  it.each(named)("%s: %s", async (_system, _what, setting) => {
    const rules = { nodes: NODES, ...setting.top, rules: setting.rules };
    await using inCode = defineLocks(rules, { environment });
    check(inCode, setting);
    for (const [name, text] of [
      ["bullmq-redlock.yaml", stringify(rules)],
      ["bullmq-redlock.json", JSON.stringify(rules)],
    ] as const) {
      await using inFile = await loadLocks(await writeRules(text, name), { environment });
      check(inFile, setting);
    }
  });
});

function check(locks: Locks, { samples }: Setting): void {
  for (const { job, keys, with: options = {} } of samples) {
    const explained = locks.explain({ queueName: "any", name: "any", ...job });
    if (typeof keys === "string") {
      expect(explained).toMatchObject({ outcome: "refused", keys: [] });
      expect(explained.error?.message).toContain(keys);
    } else {
      expect(explained.error).toBeUndefined();
      expect(explained.outcome).toBe(keys === null ? "no-lock" : "lock");
      expect(explained.keys).toEqual(keys ?? []);
      expect(explained.options).toMatchObject(options);
    }
  }
}
