import type { Job } from "bullmq";
import { writeFile } from "node:fs/promises";
import { expect, it, onTestFinished } from "vitest";
import { loadLocks, LockRulesError } from "../../src/config/index.ts";
import { LockConfigError } from "../../src/index.ts";
import { ends as endsOf, Gate, next, useBench } from "../bullmq/support.ts";
import { writeRules } from "./support.ts";

const bench = useBench();

/** The text of a rules file for the masters of this test. */
function file(rules: string, ttl = "1s"): string {
  const nodes = bench.masterUrls.map((url) => `  - ${url}`).join("\n");
  return `nodes:\n${nodes}\nttl: ${ttl}\nnodeTimeout: 250\nrestartGuard: trust-new\nrules:\n${rules}`;
}

async function load(rules: string) {
  const path = await writeRules(file(rules));
  const locks = await loadLocks(path);
  onTestFinished(async () => await locks.close());
  return { path, locks };
}

it("uses new rules for jobs that start afterwards; running jobs keep their rules", async () => {
  const { path, locks } = await load("  - { queue: other, key: same }\n  - key: old:{{data.id}}\n");
  const keys: unknown[] = [];
  const gate = new Gate();
  const started = new Gate();
  const worker = bench.worker(
    locks.wrap(async (job: Job<{ id: number }>, _token, _signal, lock) => {
      keys.push(lock.keys);
      if (job.data.id !== 1) return;
      started.open();
      await gate.opened;
      expect(lock.held).toBe(true);
    }),
    { concurrency: 2 },
  );
  const ended = endsOf(worker, 2);
  await bench.queue().add("a", { id: 1 });
  await started.opened;
  await writeFile(path, file("  - { queue: other, key: same }\n  - key: new:{{data.id}}\n"));
  const reloaded = next(locks.redlock, "reloaded");
  await locks.reload();
  expect(await reloaded).toEqual({ rules: 2, added: [1], removed: [1], reordered: false });
  await bench.queue().add("b", { id: 2 });
  await expect.poll(() => keys).toEqual([["old:1"], ["new:2"]]);
  gate.open();
  expect((await ended).map(({ error }) => error)).toEqual([undefined, undefined]);
  expect(locks.explain({ queueName: "q", name: "a", data: { id: 3 } }).keys).toEqual(["new:3"]);
});

it("refuses a file with problems, names all of them, and keeps the old rules", async () => {
  const { path, locks } = await load("  - key: old\n");
  await writeFile(path, file("  - kay: new\n  - { key: x, maxWiat: 5s }\n"));
  const error = await locks.reload().catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(LockRulesError);
  expect((error as LockRulesError).problems.length).toBeGreaterThanOrEqual(2);
  expect(locks.explain({ queueName: "q", name: "a" }).keys).toEqual(["old"]);
  await writeFile(path, file("  - key: new\n"));
  await locks.reload();
  expect(locks.explain({ queueName: "q", name: "a" }).keys).toEqual(["new"]);
});

it("refuses another ttl, and other masters without showing them", async () => {
  const { path, locks } = await load("  - key: old\n");
  await writeFile(path, file("  - key: new\n", "2s"));
  await expect(locks.reload()).rejects.toThrow(
    "ttl: found 2000, expected 1000, the value at the start: restart the process to change it",
  );
  // The default.
  await writeFile(path, file("  - key: old\n").replace("rules:", 'prefix: "redlock:"\nrules:'));
  await locks.reload();
  await writeFile(
    path,
    file("  - key: new\n").replace(bench.masterUrls[0]!, "redis://:secret@lock-1"),
  );
  const error = await locks.reload().catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(LockConfigError);
  expect(String(error)).toContain("nodes: found another value");
  expect(String(error)).not.toContain("secret");
  expect(locks.explain({ queueName: "q", name: "a" }).keys).toEqual(["old"]);
});

it("reports that only the order has changed", async () => {
  const { path, locks } = await load("  - { job: a, key: a }\n  - { job: b, key: b }\n");
  await writeFile(path, file("  - { job: b, key: b }\n  - { job: a, key: a }\n"));
  expect(await locks.reload()).toEqual({ rules: 2, added: [], removed: [], reordered: true });
});
