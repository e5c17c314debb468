import type { Job } from "bullmq";
import { setTimeout as pass } from "node:timers/promises";
import { expect, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { redisClient } from "../support/redis.ts";
import { useBench } from "./support.ts";

interface Data {
  key: string;
  /** For how long the job runs, in ms. */
  ms: number;
}

const bench = useBench();
/** Jobs come back by themselves after ten times as long: no test here waits for that. */
const ttl = 15_000;
/** Allowance for a loaded machine, in ms. */
const LOAD = 1_500;

/** A processor that takes its time, and notes the jobs that run. */
function processor(runs: string[]): (job: Job<Data>) => Promise<void> {
  return async ({ id, data }) => {
    runs.push(id ?? "");
    await pass(data.ms);
  };
}

function keysOf({ data }: Job<Data>): string[] {
  return data.key.split(" ");
}

function firstIsParked({ id }: Job<Data>): "delay" | "wait" {
  return id === "j1" ? "delay" : "wait";
}

/** Milliseconds until a job runs, from now on. */
async function untilRuns(runs: readonly string[], id: string): Promise<number> {
  const from = performance.now();
  await expect.poll(() => runs.includes(id), { timeout: 60_000, interval: 5 }).toBe(true);
  return performance.now() - from;
}

/** Resolves when all masters know a waiter of a key as parked. */
async function untilParked(key: string): Promise<void> {
  const clients = bench.masterUrls.map((url) => redisClient(url));
  const parked = async (): Promise<boolean[]> =>
    await Promise.all(
      clients.map(async (client) => {
        const records = Object.values(await client.hgetall(`redlock:@waiter:${key}`));
        return records.some((record) => record.startsWith("p"));
      }),
    );
  await expect.poll(parked).toEqual(clients.map(() => true));
}

test("jobs wait in their worker slots although a function has chosen so", async () => {
  const redlock = bench.redlock({ ttl });
  const runs: string[] = [];
  bench.worker(
    withLock({ redlock, key: "{{data.key}}", onConflict: () => "wait" }, processor(runs)),
    { concurrency: 5 },
  );
  const lock = await redlock.acquire("k");
  const ids = ["j1", "j2", "j3", "j4"];
  const queue = bench.queue();
  for (const jobId of ids) await queue.add("j", { key: "k", ms: 5 }, { jobId });
  // In the wait lists of all masters: only then is there an order.
  const clients = bench.masterUrls.map((url) => redisClient(url));
  const lengths = async (): Promise<number[]> =>
    await Promise.all(clients.map(async (client) => await client.zcard("redlock:@waiters:k")));
  await expect.poll(lengths).toEqual([4, 4, 4]);
  await lock.release();
  await untilRuns(runs, "j4");
  await expect.poll(async () => await queue.getCompletedCount()).toBe(4);
  expect(runs).toEqual(ids);
});

test("a queue that has come back is served by a process that has not seen it", async () => {
  const [here, there] = [bench.redlock({ ttl }), bench.redlock({ ttl })];
  const runs: string[] = [];
  const options = { key: "{{data.key}}" } as const;
  bench.worker(withLock({ ...options, redlock: here }, processor(runs)), {
    name: "a",
    concurrency: 4,
  });
  bench.worker(withLock({ ...options, redlock: there }, processor(runs)), { name: "b" });
  const [a, b] = [bench.queue("a"), bench.queue("b")];
  const park = async (jobId: string): Promise<void> => {
    await b.add("j", { key: "k", ms: 10 }, { jobId });
    await untilParked("k");
  };
  const run = async (queue: typeof a, jobId: string, data: Data): Promise<void> => {
    await queue.add("j", data, { jobId });
    await untilRuns(runs, jobId);
  };
  // The only slot of b is taken when the key is reserved for its job.
  await run(a, "a1", { key: "k", ms: 600 });
  await park("b1");
  await run(b, "b2", { key: "other", ms: 3_500 });
  await untilRuns(runs, "b1");
  await run(a, "a2", { key: "k", ms: 500 });
  await park("b3");
  expect(await untilRuns(runs, "b3")).toBeLessThan(500 + LOAD);
});

test("a worker wakes the jobs of its queue when another one of the process has closed", async () => {
  const redlock = bench.redlock({ ttl });
  const runs: string[] = [];
  const locked = withLock({ redlock, key: "{{data.key}}" }, processor(runs));
  const queue = bench.queue();
  const first = bench.worker(locked);
  await queue.add("j", { key: "other", ms: 700 }, { jobId: "busy" });
  await untilRuns(runs, "busy");
  bench.worker(locked, { concurrency: 2 });
  await queue.add("j", { key: "k", ms: 1_500 }, { jobId: "long" });
  await untilRuns(runs, "long");
  await queue.add("j", { key: "k", ms: 10 }, { jobId: "next" });
  await first.close();
  expect(await untilRuns(runs, "next")).toBeLessThan(1_500 + LOAD);
});

test("a job that waits in the only slot runs when a job before it cannot come", async () => {
  const redlock = bench.redlock({ ttl });
  const runs: string[] = [];
  bench.worker(
    withLock(
      { redlock, key: "{{data.key}}", onConflict: firstIsParked, waitTimeout: 60_000 },
      processor(runs),
    ),
  );
  const lock = await redlock.acquire("k");
  for (const jobId of ["j1", "j2"]) await bench.queue().add("j", { key: "k", ms: 5 }, { jobId });
  await expect.poll(async () => (await redlock.inspect("k")).waiting).toBe(2);
  await untilParked("k");
  await lock.release();
  // One reservation expires.
  expect(await untilRuns(runs, "j2")).toBeLessThan(2_000 + LOAD);
  await untilRuns(runs, "j1");
});

test("the newest of a burst is not kept waiting by a job that came between", async () => {
  const queue = bench.queue();
  const runs: string[] = [];
  for (const redlock of [bench.redlock({ ttl }), bench.redlock({ ttl })]) {
    bench.worker(
      withLock(
        { redlock, key: "{{data.key}}", onConflict: "cancelInProgress" },
        async (job: Job<Data>, _token, signal) => {
          runs.push(job.id ?? "");
          await pass(job.data.ms, undefined, { signal });
        },
      ),
      { concurrency: 5 },
    );
  }
  const waits: number[] = [];
  for (let round = 0; round < 20; round++) {
    const ids = [1, 2, 3].map((index) => `${round}-${index}`);
    for (const jobId of ids) {
      await queue.add("j", { key: "k", ms: 8_000 }, { jobId });
      await pass(5 * ((round + ids.indexOf(jobId)) % 3));
    }
    waits.push(await untilRuns(runs, ids[2]!));
  }
  expect(Math.max(...waits)).toBeLessThan(LOAD);
});

test("a job that was retried by hand, and whose counts begin anew, is woken", async () => {
  const redlock = bench.redlock({ ttl });
  const runs: string[] = [];
  const queue = bench.queue();
  bench.worker(withLock({ redlock, key: "{{data.key}}" }, processor(runs)), {
    maxStartedAttempts: 2,
  });
  redlock.on("warning", () => {});
  const lock = await redlock.acquire("k");
  const waiting = async (): Promise<number> => (await redlock.inspect("k")).waiting;
  const job = await queue.add("j", { key: "k", ms: 5 }, { jobId: "j1" });
  await expect.poll(waiting).toBe(1);
  const state = async (): Promise<string> => await job.getState();
  for (const then of ["delayed", "failed"]) {
    await expect.poll(state).toBe("delayed");
    await job.promote();
    await expect.poll(state).toBe(then);
  }
  const failed = (await queue.getJob("j1"))!;
  await failed.retry("failed", { resetAttemptsStarted: true });
  await expect.poll(state).toBe("delayed");
  await untilParked("k");
  await lock.release();
  expect(await untilRuns(runs, "j1")).toBeLessThan(LOAD);
});

test("a key reserved for a job with several keys is free when that job is removed", async () => {
  const [here, there] = [bench.redlock({ ttl }), bench.redlock({ ttl })];
  const runs: string[] = [];
  bench.worker(withLock({ redlock: here, key: keysOf }, processor(runs)), { name: "a" });
  bench.worker(withLock({ redlock: there, key: keysOf }, processor(runs)), { name: "b" });
  const lock = await here.acquire("l");
  const job = await bench.queue("a").add("j", { key: "k l", ms: 5 }, { jobId: "both" });
  const state = async (): Promise<string> => await job.getState();
  // From its third try on it keeps the reservations that it gets.
  for (let tries = 0; tries < 4; tries++) {
    await expect.poll(state).toBe("delayed");
    await pass(100);
    await job.promote();
  }
  await expect.poll(state).toBe("delayed");
  await pass(100);
  await expect(there.acquire("k")).rejects.toThrow(/reserved for job bull:/);
  // It is checked each second, and not woken as long as the other key is taken.
  let wakeups = 0;
  here.on("woken", () => (wakeups += 1));
  await pass(2_500);
  expect(wakeups).toBe(0);
  await job.remove();
  await bench.queue("b").add("j", { key: "k", ms: 5 }, { jobId: "one" });
  expect(await untilRuns(runs, "one")).toBeLessThan(1_000 + LOAD);
  await lock.release();
});
