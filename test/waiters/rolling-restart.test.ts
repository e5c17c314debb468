import type { Job } from "bullmq";
import { Queue, Worker } from "bullmq";
import { setTimeout as pass } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { Redlock, withLock } from "../../src/index.ts";
import { useRedisNodes } from "../support/redis.ts";

const MASTERS = [1, 2, 3] as const;
const servers = useRedisNodes(1 + MASTERS.length);
/** Quarantines of about three seconds. */
const OPTIONS = { ttl: 2_500, maxTtl: 2_500, nodeTimeout: 250, clockSkewBudget: 250 };

function connect(): Redlock {
  const nodes = MASTERS.map((index) => servers.urls[index] ?? "");
  const redlock = new Redlock({ nodes, restartGuard: "trust-new", ...OPTIONS });
  redlock.on("warning", () => undefined);
  onTestFinished(async () => await redlock.close());
  return redlock;
}

async function votes(redlock: Redlock): Promise<string[]> {
  // A master that was restarted is armed by the first request for a lock.
  await (await redlock.tryAcquire("any").catch(() => null))?.release();
  const { nodes } = await redlock.inspect("any");
  return nodes.map(({ vote }) => vote);
}

test("masters without persistence can be restarted one at a time under a long job", async () => {
  const connection = { url: servers.urls[0] ?? "" };
  const [api, probe] = [connect(), connect()];
  const started: string[] = [];
  const begun: number[] = [];
  const process = async ({ id = "" }: Job): Promise<void> => {
    started.push(id);
    begun.push(performance.now());
    await pass(20);
  };
  const queue = new Queue("invoices", { connection });
  const worker = new Worker("invoices", withLock({ redlock: connect(), key: "account" }, process), {
    connection,
    concurrency: 4,
  });
  worker.on("error", () => undefined);
  onTestFinished(async () => {
    await worker.close();
    await queue.close();
  });
  const lock = await api.acquire("account");
  const ids = Array.from({ length: 20 }, (_, i) => `job-${i}`);
  for (const jobId of ids) await queue.add("j", {}, { jobId });
  await expect.poll(async () => await queue.getDelayedCount()).toBe(ids.length);

  for (const master of MASTERS) {
    await servers.restart(master, { empty: true });
    await expect.poll(async () => await votes(probe)).toEqual(["yes", "yes", "yes"]);
  }
  lock.assertHeld();
  await lock.release();
  const released = performance.now();

  await expect.poll(() => started.length).toBe(ids.length);
  expect(started).toEqual(ids);
  const gaps = begun.map((at, index) => at - (begun[index - 1] ?? released));
  expect(Math.max(...gaps)).toBeLessThan(OPTIONS.ttl);
});
