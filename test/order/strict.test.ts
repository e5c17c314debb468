import type { Job } from "bullmq";
import { describe, expect, test } from "vitest";
import { withLock, type WithLockOptions } from "../../src/index.ts";
import { RESERVATION } from "../../src/waiters/reservations-lua.ts";
import { Gate, useBench } from "../bullmq/support.ts";
import { waitFor } from "../support/wait-for.ts";
import { makeSteps, startWorker, type Step, type Steps } from "./worker-process.ts";

const bench = useBench();

/** Starts worker processes under strict order, and makes their queue. */
async function setUp(processes: number, concurrency: number): Promise<Steps> {
  const steps = await makeSteps(bench.queueUrl);
  const { queueUrl, masterUrls } = bench;
  const policies = { order: "strict" as const };
  const task = { queueUrl, masterUrls, concurrency, policies };
  await Promise.all(Array.from({ length: processes }, async () => await startWorker(task)));
  return steps;
}

/** The pairs of steps of an entity that started in another order than they were added. */
async function inversions(steps: Steps, entities: readonly string[]): Promise<string[]> {
  const journals = await Promise.all(
    entities.map(async (entity) => ({ entity, started: await steps.journal("started", entity) })),
  );
  return journals.flatMap(({ entity, started }) =>
    started.flatMap((index, at) => {
      const before = started[at - 1] ?? -1;
      return before > index ? `${entity}: ${before} before ${index}` : [];
    }),
  );
}

function entities(count: number): string[] {
  return Array.from({ length: count }, (_, index) => String(index));
}

function step(entity: string, index: number): { name: string; data: Step } {
  return { name: "step", data: { entity, index, ms: 2 } };
}

function keysOf({ data }: Job<string[]>): string[] {
  return data;
}

describe('order "strict"', () => {
  test("starts two jobs of an idle key in the order in which they were added, 200 times", async () => {
    const steps = await setUp(2, 1);
    const jobs: Job<Step>[] = [];
    for (const entity of entities(200)) {
      for (const index of [0, 1]) {
        const { name, data } = step(entity, index);
        jobs.push(await steps.queue.add(name, data));
      }
    }
    await steps.ended(jobs);
    expect(await inversions(steps, entities(200))).toEqual([]);
  });

  test("starts two jobs that were added by addBulk in their order, 200 times", async () => {
    const steps = await setUp(2, 1);
    for (const entity of entities(200)) {
      await steps.ended(await steps.queue.addBulk([step(entity, 0), step(entity, 1)]));
    }
    expect(await inversions(steps, entities(200))).toEqual([]);
  });

  test("starts all pairs of a stream over 50 keys in four processes in their order", async () => {
    const steps = await setUp(4, 5);
    const jobs: Job<Step>[] = [];
    for (let index = 0; index < 16; index += 2) {
      for (const entity of entities(50)) {
        jobs.push(...(await steps.queue.addBulk([step(entity, index), step(entity, index + 1)])));
      }
    }
    await steps.ended(jobs);
    expect(await inversions(steps, entities(50))).toEqual([]);
  });

  test.each([["A,B B,C"], ["A,B B,C C,A"], ["A,B A B A,B"], ["A,B B,C C,D"]])(
    "runs jobs that share some of their keys one after the other: %s",
    async (sets) => {
      const redlock = bench.redlock();
      const queue = bench.queue();
      const started: string[] = [];
      let busy = new Set<string>();
      const processor = async ({ data }: Job<string[]>): Promise<void> => {
        started.push(data.join());
        expect(data.filter((key) => busy.has(key))).toEqual([]);
        busy = new Set([...busy, ...data]);
        await new Promise((resolve) => setTimeout(resolve, 20));
        for (const key of data) busy.delete(key);
      };
      bench.worker(withLock({ redlock, key: keysOf, order: "strict" }, processor), {
        concurrency: 8,
      });
      await queue.add("step", ["warm"]);
      await waitFor(() => expect(started).toHaveLength(1));
      const addedAt = performance.now();

      const jobs = sets.split(" ").map((set) => ({ name: "step", data: set.split(",") }));
      await queue.addBulk(jobs);

      await waitFor(async () => expect(await queue.getCompletedCount()).toBe(1 + jobs.length));
      // Not a figure of speed: a reservation for a job that does not want the key lives for two seconds.
      expect(performance.now() - addedAt).toBeLessThan(RESERVATION);
    },
  );
});

test("a worker of the same queue that waits in its slots leaves no reservation behind", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const ended = new Map<string, number>();
  let longest = 0;
  const processor = async ({ data }: Job<{ key: string }>): Promise<void> => {
    longest = Math.max(longest, performance.now() - (ended.get(data.key) ?? Infinity));
    await new Promise((resolve) => setTimeout(resolve, 50));
    ended.set(data.key, performance.now());
  };
  const key = "{{data.key}}";
  const strict = withLock({ redlock, key, order: "strict" }, processor);
  bench.worker(withLock({ redlock, key, onConflict: "wait" }, processor), { concurrency: 2 });
  bench.worker(strict, { concurrency: 5 });

  const count = 60;
  for (let i = 0; i < count; i++) await queue.add("step", { key: `k${i % 3}` });

  await waitFor(async () => expect(await queue.getCompletedCount()).toBe(count));
  // Not a figure of speed: a reservation for a job that has ended lives for two seconds.
  expect(longest).toBeLessThan(RESERVATION - 500);
});

test("a job that ends without having asked for its key holds up the others no longer", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const starts: number[] = [];
  const processor = async (): Promise<void> =>
    await Promise.resolve(void starts.push(performance.now()));
  const strict = bench.worker(
    withLock({ redlock, key: "{{data.key}}", order: "strict" }, processor),
  );
  // The worker must have seen the name of its jobs.
  await queue.add("step", { key: "other" });
  await waitFor(() => expect(starts).toHaveLength(1));
  await strict.pause();
  const ended = new Gate<number>();
  const active = new Gate();
  const plain = bench.worker(async () => {
    active.open();
    await new Promise((resolve) => setTimeout(resolve, 600));
    ended.open(performance.now());
  });
  await queue.add("step", { key: "a" });
  await active.opened;
  await plain.pause(true);
  await queue.add("step", { key: "a" });
  void strict.resume();

  const end = await ended.opened;
  await waitFor(() => expect(starts).toHaveLength(2));
  expect(starts[1]).toBeGreaterThan(end);
  // Not a figure of speed: its reservation lives for two seconds, most of which were left.
  expect(starts[1]! - end).toBeLessThan(RESERVATION - 1_000);
});

describe("policies that do not fit together are refused when a job shows them", () => {
  test.each<[string, Partial<WithLockOptions>, string]>([
    [
      "strict order, and a function that gives a limit",
      { order: "strict", key: () => [{ key: "a", limit: 2 }] },
      'order: found "strict", expected "arrival" with a limit, under which several jobs run',
    ],
    [
      "strict order, and a function that chooses to wait",
      { order: "strict", onConflict: () => "wait" },
      'order: found "strict", expected "arrival" with onConflict: "wait"',
    ],
    [
      "kept retries, and a function that lets the latest win",
      { retryOrder: "keep", onConflict: () => "keepLatest" },
      'retryOrder: found "keep", expected "rejoin" with onConflict: "keepLatest"',
    ],
  ])("%s", async (_, policies, message) => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("a");
    const options = { redlock, key: "a", ...policies } as WithLockOptions;
    bench.worker(withLock(options, async () => "ran"));
    const job = await queue.add("step", {});
    await waitFor(async () => expect(await job.getState()).toBe("failed"));
    const { failedReason } = (await queue.getJob(job.id!))!;
    expect(failedReason).toContain(message);
  });
});
