import type { Job } from "bullmq";
import { expect, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { waitFor } from "../support/wait-for.ts";
import { useBench } from "./support.ts";

const bench = useBench();

interface Data {
  step: number;
  onConflict: "delay" | "wait";
}

test("a job that waits in its slot makes room for the next one that is parked", async () => {
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
