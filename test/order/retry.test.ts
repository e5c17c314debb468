import { UnrecoverableError, type Job, type JobsOptions } from "bullmq";
import { describe, expect, onTestFinished, test } from "vitest";
import { namesUnder } from "../../src/lock/stored-lock.ts";
import { withLock, type WithLockOptions } from "../../src/index.ts";
import { Gate, useBench } from "../bullmq/support.ts";
import { redisClient } from "../support/redis.ts";
import { makeSteps, startWorker } from "./worker-process.ts";
import { waitFor } from "../support/wait-for.ts";

interface Data {
  step: number;
}

interface Swapped {
  key: string;
  other?: string;
}

const bench = useBench();
const KEY = "account:a";
const names = namesUnder("redlock:");

/**
 * Runs jobs of one key. The first one fails when `fail` opens, after the others have been parked behind it.
 * @returns the steps in the order in which they started, as they come.
 */
async function run(
  count: number,
  {
    policies = {},
    first,
    error = new Error("fails"),
  }: { policies?: Partial<WithLockOptions>; first?: JobsOptions; error?: Error } = {},
) {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const started: number[] = [];
  const fail = new Gate();
  const worker = bench.worker(
    withLock(
      { redlock, key: KEY, retryOrder: "keep", ...policies },
      async (job: Job<Data>): Promise<void> => {
        started.push(job.data.step);
        if (job.data.step > 0) return;
        await fail.opened;
        if (job.attemptsMade === 0) throw error;
      },
    ),
    { concurrency: 4 },
  );
  // A worker closes when its jobs have ended.
  onTestFinished(() => fail.open());
  const held = await queue.add("charge", { step: 0 }, { attempts: 2, ...first });
  await waitFor(() => expect(started).toEqual([0]));
  await queue.addBulk(
    Array.from({ length: count - 1 }, (_, index) => ({
      name: "charge",
      data: { step: index + 1 },
    })),
  );
  await waitFor(async () => expect(await queue.getDelayedCount()).toBe(count - 1));
  const ended = async (): Promise<number[]> => {
    await waitFor(() => expect(started.length).toBeGreaterThanOrEqual(count));
    return started;
  };
  return { redlock, queue, worker, started, fail, held, ended };
}

/** Resolves when the masters keep the key for a job. */
async function kept(): Promise<void> {
  for (const url of bench.masterUrls) {
    const client = redisClient(url);
    await waitFor(async () => {
      expect(await client.exists(names.lock(KEY))).toBe(0);
      expect(await client.get(names.reservation(KEY))).toMatch(/^\d+k:/);
    });
  }
}

/** Removes a job as soon as its worker has moved it out of its slot, which follows the release. */
async function remove(job: Job): Promise<void> {
  await waitFor(async () => expect(await job.isDelayed()).toBe(true));
  await job.remove();
}

describe('retryOrder "keep"', () => {
  test("runs a retry without a backoff before the jobs that wait", async () => {
    const { fail, started } = await run(4);
    fail.open();
    await waitFor(() => expect(started).toHaveLength(5));
    expect(started).toEqual([0, 0, 1, 2, 3]);
  });

  test("runs a retry with a backoff before them, and uses no slot in between", async () => {
    const { fail, started, queue } = await run(3, { first: { backoff: 1_500 } });
    fail.open();
    await kept();
    await waitFor(async () => expect(await queue.getActiveCount()).toBe(0));
    await queue.add("charge", { step: 3 }, { priority: 0 });
    await waitFor(() => expect(started).toHaveLength(5));
    expect(started).toEqual([0, 0, 1, 2, 3]);
  });

  test("lets a call of acquire wait for the retry too", async () => {
    const { fail, started, redlock } = await run(1, { first: { backoff: 1_500 } });
    const other = bench.redlock();
    fail.open();
    await kept();
    await expect(redlock.tryAcquire(KEY)).resolves.toBeNull();
    await using lock = await other.acquire(KEY, { waitTimeout: 10_000 });
    expect(lock.held).toBe(true);
    expect(started).toEqual([0, 0]);
  });

  test.each([
    ["its attempts are used up", { first: { attempts: 1 } }],
    ["it fails for good", { error: new UnrecoverableError("never again") }],
  ])("goes on when %s", async (_, options) => {
    const { fail, ended } = await run(3, options);
    fail.open();
    expect(await ended()).toEqual([0, 1, 2]);
  });

  test("goes on when the backoff strategy ends the job", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const started: number[] = [];
    const gate = new Gate();
    bench.worker(
      withLock({ redlock, key: KEY, retryOrder: "keep" }, async ({ data }: Job<Data>) => {
        started.push(data.step);
        if (data.step > 0) return;
        await gate.opened;
        throw new Error("fails");
      }),
      { concurrency: 2, settings: { backoffStrategy: () => -1 } },
    );
    onTestFinished(() => gate.open());
    await queue.add("charge", { step: 0 }, { attempts: 5, backoff: { type: "custom" } });
    await waitFor(() => expect(started).toEqual([0]));
    await queue.add("charge", { step: 1 });
    await waitFor(async () => expect(await queue.getDelayedCount()).toBe(1));
    gate.open();
    await waitFor(() => expect(started).toEqual([0, 1]));
  });

  test("goes on when the job is removed", async () => {
    const { fail, held, ended } = await run(3, { first: { backoff: 3_600_000 } });
    fail.open();
    await kept();
    await remove(held);
    expect(await ended()).toEqual([0, 1, 2]);
  });

  test("goes on when the retry will ask for another key", async () => {
    const { fail, held, queue, ended } = await run(3, {
      policies: { key: "account:{{data.account ?? 'a'}}" },
      first: { backoff: 3_600_000 },
    });
    fail.open();
    await kept();
    await (await queue.getJob(held.id!))!.updateData({ step: 0, account: "b" });
    expect(await ended()).toEqual([0, 1, 2]);
  });

  test("keeps no key that a job has changed in its data before it failed", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const started = new Map([
      ["a", new Gate()],
      ["b", new Gate()],
    ]);
    const ended: string[] = [];
    const worker = bench.worker(
      withLock({ redlock, key: "{{data.key}}", retryOrder: "keep" }, async (job: Job<Swapped>) => {
        const { key, other } = job.data;
        if (other === undefined || job.attemptsMade > 0) return;
        started.get(key)?.open();
        await Promise.all([...started.values()].map(async (gate) => await gate.opened));
        await waitFor(async () => expect(await queue.getDelayedCount()).toBe(2));
        await job.updateData({ key: other, other: key });
        throw new Error("fails");
      }),
      { concurrency: 4 },
    );
    worker.on("completed", ({ name }) => void ended.push(name));
    // Each then waits for the key of the other one.
    await queue.add("first", { key: "a", other: "b" }, { attempts: 2, backoff: 200 });
    await queue.add("second", { key: "b", other: "a" }, { attempts: 2, backoff: 200 });
    for (const gate of started.values()) await gate.opened;
    await queue.addBulk(["a", "b"].map((key) => ({ name: `behind ${key}`, data: { key } })));

    await waitFor(() => expect(ended).toHaveLength(4));
    expect(ended.slice(0, 2).sort()).toEqual(["behind a", "behind b"]);
  });

  test("goes on when masters keep the key for different jobs that are gone", async () => {
    const { fail, held, queue, started } = await run(1, { first: { backoff: 3_600_000 } });
    fail.open();
    await kept();
    await remove(held);
    // Two of three were cut off when these jobs ended.
    for (const [index, url] of bench.masterUrls.entries()) {
      const client = redisClient(url);
      const reservation = (await client.get(names.reservation(KEY))) ?? "";
      if (index === 0) await client.del(names.reservation(KEY));
      else {
        const other = reservation.replace(/[^:]+$/, `gone${index}`).replace(/\d+(?=:gone)/, "0005");
        await client.set(names.reservation(KEY), other, "KEEPTTL");
      }
    }
    await queue.add("charge", { step: 1 });
    await waitFor(() => expect(started).toEqual([0, 1]));
  });

  test("lets jobs of other queues go on when its queue is obliterated", async () => {
    const { fail, queue } = await run(1, { first: { backoff: 3_600_000 } });
    const others = bench.queue("others");
    const started = new Gate();
    const redlock = bench.redlock();
    bench.worker(
      withLock({ redlock, key: KEY }, async () => started.open()),
      { name: "others" },
    );
    fail.open();
    await kept();
    await others.add("charge", {});
    await waitFor(async () => expect(await others.getDelayedCount()).toBe(1));
    await queue.obliterate({ force: true });
    await started.opened;
  });

  test("goes on when the time for which the key is kept is over", async () => {
    const { fail, ended } = await run(3, { first: { backoff: 3_600_000 } });
    fail.open();
    await kept();
    for (const url of bench.masterUrls) {
      const client = redisClient(url);
      expect(await client.pttl(names.reservation(KEY))).toBeGreaterThan(590_000);
      await client.pexpire(names.reservation(KEY), 200);
    }
    expect(await ended()).toEqual([0, 1, 2]);
  });

  test("leaves nothing of it after a job that succeeded", async () => {
    const { fail, ended } = await run(2, { policies: { minHold: 300 } });
    fail.open();
    expect(await ended()).toEqual([0, 0]);
    for (const url of bench.masterUrls) {
      const client = redisClient(url);
      await waitFor(async () => expect(await client.exists(names.reservation(KEY))).toBe(0));
    }
  });

  test("runs the job of a killed worker before the jobs that wait", async () => {
    const steps = await makeSteps(bench.queueUrl);
    const { queueUrl, masterUrls } = bench;
    const policies = { retryOrder: "keep" } as const;
    // Longer than its lock on the masters lives.
    const stalls = { lockDuration: 8_000, stalledInterval: 1_000 };
    const task = { queueUrl, masterUrls, policies, concurrency: 4, stalls };
    const victim = await startWorker(task);
    await steps.queue.add("step", { entity: "a", index: 0, ms: 3_000 });
    await waitFor(async () => expect(await steps.journal("started", "a")).toEqual([0]));
    const jobs = await steps.queue.addBulk(
      [1, 2].map((index) => ({ name: "step", data: { entity: "a", index, ms: 1 } })),
    );
    await waitFor(async () => expect(await steps.queue.getDelayedCount()).toBe(2));
    victim.kill("SIGKILL");
    await startWorker(task);
    await steps.ended(jobs);
    expect(await steps.journal("started", "a")).toEqual([0, 0, 1, 2]);
  });
});
