import type { Job } from "bullmq";
import { setTimeout as pass } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { waitFor } from "../support/wait-for.ts";
import { redisClient } from "../support/redis.ts";
import { Gate, useBench } from "./support.ts";

const bench = useBench();

interface Data {
  step: number;
  onConflict: "delay" | "wait";
}

test("a job that waits in its worker slot makes room for the next one that is parked", async () => {
  const redlock = bench.redlock({ ttl: 10_000 });
  const started: number[] = [];
  const options = {
    redlock,
    key: "account",
    onConflict: ({ data }: Job<Data>) => data.onConflict,
    waitTimeout: 60_000,
  };
  bench.worker(
    withLock(options, async ({ data }: Job<Data>) => {
      await Promise.resolve(started.push(data.step));
    }),
    { concurrency: 2 },
  );
  const queue = bench.queue();
  const lock = await redlock.acquire("account");
  const add = async (step: number, onConflict: Data["onConflict"]): Promise<void> => {
    await queue.add("charge", { step, onConflict });
  };
  for (const step of [1, 2]) await add(step, "delay");
  await waitFor(async () => expect(await queue.getDelayedCount()).toBe(2));
  for (const step of [3, 4]) await add(step, "wait");
  await waitFor(async () => expect((await redlock.inspect("account")).waiting).toBe(4));

  await lock.release();

  await waitFor(() => expect(started).toHaveLength(4));
  expect(started).toEqual([1, 2, 3, 4]);
});

test.each([0, 2])(
  "a job whose delay has ended comes before the backlog, with priority %s",
  async (priority) => {
    const redlock = bench.redlock({ ttl: 500 });
    const queue = bench.queue("backlog");
    const started: string[] = [];
    const gates = [new Gate(), new Gate()];
    const worker = bench.worker(
      withLock({ redlock, key: "{{data.key}}" }, async ({ data }: Job<{ key: string }>) => {
        started.push(data.key);
        await gates[started.length - 1]?.opened;
      }),
      { name: "backlog", concurrency: 1 },
    );
    onTestFinished(() => gates.forEach((gate) => gate.open()));
    const lock = await redlock.acquire("account");
    const add = (key: string) => queue.add("charge", { key }, { priority });
    const parked = await add("account");
    await waitFor(async () => expect(await parked.isDelayed()).toBe(true));
    for (const key of ["a", "b", "c", "d"]) await add(key);
    await waitFor(() => expect(started).toEqual(["a"]));
    // BullMQ looks at delays when a worker asks for a job.
    await pass((await delayOf(parked)) + 20);
    gates[0]?.open();
    await waitFor(() => expect(started).toEqual(["a", "b"]));
    expect(await parked.getState()).toBe(priority === 0 ? "waiting" : "prioritized");

    await lock.release();
    await pass(50);
    gates[1]?.open();

    await waitFor(() => expect(started).toHaveLength(5));
    expect(started).toEqual(["a", "b", "account", "c", "d"]);
    await worker.close();
  },
);

/** Milliseconds until a parked job comes back by itself. */
async function delayOf(job: Job): Promise<number> {
  const score = await redisClient(bench.queueUrl).zscore("bull:backlog:delayed", job.id!);
  return Math.max(0, Number(score) / 0x1000 - Date.now());
}
