import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { defineLocks, type ExplainedJob } from "../../src/config/index.ts";
import { findFile } from "../../src/config/rules-file.ts";
import { LockConfigError, LockKeyError } from "../../src/errors.ts";
import { makeFolder } from "../testing/folders.ts";

const locks = defineLocks({
  nodes: ["redis://a", "redis://b", "redis://c"],
  onUnavailable: "fail",
  maxTtl: "60s",
  rules: [
    {
      queue: "invoices",
      job: "charge",
      key: "account:{{data.account}}",
      ttl: "30s",
      maxWait: "5m",
    },
    { queue: "invoices", key: null },
    { queue: "shop-?", key: "{{data.items[*].sku}}", onUnavailable: "run" },
  ],
});

describe("explain", () => {
  it.each<[unknown, string]>([
    [undefined, "job: found nothing, expected a job, with its queueName, name and data"],
    ["invoices", "job: found a text, expected a job, with its queueName, name and data"],
    [{}, "job.queueName: found nothing, expected the name of a queue"],
    [{ queueName: 5, name: "n" }, "job.queueName: found 5, expected the name of a queue"],
    [
      { queueName: "invoices", data: { account: 1 } },
      "job.name: found nothing, expected the name of a job",
    ],
  ])("refuses %j as a job", (job, message) => {
    expect(() => locks.explain(job as ExplainedJob)).toThrow(LockConfigError);
    expect(() => locks.explain(job as ExplainedJob)).toThrow(message);
  });

  it("names the rule, the keys and the options of the lock", () => {
    expect(
      locks.explain({ queueName: "invoices", name: "charge", data: { account: "a:1" } }),
    ).toEqual({
      outcome: "lock",
      rule: 0,
      keys: ["account:a%3A1"],
      error: undefined,
      options: {
        onConflict: "delay",
        order: "arrival",
        retryOrder: "rejoin",
        onUnavailable: "fail",
        onLost: "delay",
        ttl: 30_000,
        heartbeat: 10_000,
        waitTimeout: 5_000,
        maxWait: 300_000,
        minHold: 0,
        onMaxWait: "fail",
        jobLogs: "conflicts",
        limit: 1,
      },
    });
    const items = [{ sku: "b" }, { sku: "a" }, { sku: "b" }];
    expect(locks.explain({ queueName: "shop-1", name: "x", data: { items } })).toMatchObject({
      rule: 2,
      keys: ["a", "b"],
      options: { onUnavailable: "run", ttl: 15_000, heartbeat: 5_000 },
    });
  });

  it("shows the limit of the job, and as it is written for a job that is refused", () => {
    const key = "a:{{data.account}}";
    const rules = [{ queue: "*", key, limit: "{{data.jobs ?? 3}}" }];
    const limited = defineLocks({ nodes: ["redis://a", "redis://b", "redis://c"], rules });
    const explain = (data: object) => limited.explain({ queueName: "q", name: "n", data });
    expect(explain({ account: 1, jobs: 7 }).options).toMatchObject({ limit: 7 });
    expect(explain({ account: 1 }).options).toMatchObject({ limit: 3 });
    expect(explain({}).options).toMatchObject({ limit: "{{data.jobs ?? 3}}" });
  });

  it("says that a job runs without a lock", () => {
    expect(locks.explain({ queueName: "invoices", name: "mail" })).toEqual({
      outcome: "no-lock",
      rule: 1,
      keys: [],
      error: undefined,
      options: {},
    });
  });

  it("gives the reason why a job is refused", () => {
    const refused = locks.explain({ queueName: "invoices", name: "charge", data: {}, id: "7" });
    expect(refused).toMatchObject({ outcome: "refused", rule: 0, keys: [] });
    expect(refused.error).toBeInstanceOf(LockKeyError);
    expect(refused.error?.message).toContain("job invoices:7: data.account: found nothing");
    const none = locks.explain({ queueName: "mails", name: "send" });
    expect(none).toMatchObject({ outcome: "no-rule", rule: undefined, options: {} });
    expect(none.error?.message).toContain('no rule matches the queue "mails"');
  });
});

describe("the rules file", () => {
  it("is found in the folder, or in the nearest one above it", async () => {
    const top = await makeFolder();
    const below = join(top, "packages", "worker");
    await mkdir(below, { recursive: true });
    expect(await findFile(below)).toBeUndefined();
    await writeFile(join(top, "bullmq-redlock.json"), "{}");
    expect(await findFile(below)).toBe(join(top, "bullmq-redlock.json"));
    await writeFile(join(below, "bullmq-redlock.yml"), "");
    expect(await findFile(below)).toBe(join(below, "bullmq-redlock.yml"));
    // A folder with this name is no file.
    await mkdir(join(below, "bullmq-redlock.yaml"));
    expect(await findFile(below)).toBe(join(below, "bullmq-redlock.yml"));
  });

  it("is not guessed when a folder has two", async () => {
    const folder = await makeFolder();
    for (const name of ["bullmq-redlock.yaml", "bullmq-redlock.json"])
      await writeFile(join(folder, name), "{}");
    await expect(findFile(folder)).rejects.toThrow(
      `file: found bullmq-redlock.yaml and bullmq-redlock.json in ${folder}, expected one of them`,
    );
  });
});
