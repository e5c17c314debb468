import { expect, test } from "vitest";
import type { Job } from "bullmq";
import { changePriority, type Redlock, withLock } from "../../src/index.ts";
import { ends, useBench } from "../bullmq/support.ts";
import { waitFor } from "../support/wait-for.ts";

const bench = useBench();
const KEY = "account:a";

/** Parks jobs behind a lock, more than a master names at once; `run` releases it, and returns the steps as they ran. */
async function park(count: number, priority: number) {
  const redlock = bench.redlock({ ttl: 10_000 });
  const queue = bench.queue();
  const lock = await redlock.acquire(KEY);
  const started: number[] = [];
  const worker = bench.worker(
    withLock({ redlock, key: KEY }, async ({ data }: Job<{ step: number }>) => {
      started.push(data.step);
    }),
  );
  const done = ends(worker, count);
  const steps = Array.from({ length: count }, (_, step) => step);
  const jobs = await queue.addBulk(
    steps.map((step) => ({ name: "charge", data: { step }, opts: { priority } })),
  );
  await waitFor(async () => expect(await queue.getDelayedCount()).toBe(count));
  await waitFor(async () => expect(await waitersOf(redlock)).toBe(count));
  const run = async (): Promise<number[]> => {
    await lock.release();
    await done;
    return started;
  };
  // As a producer finds it, in a process that has no worker.
  const find = async (step: number): Promise<Job> => (await queue.getJob(jobs[step]!.id!))!;
  return { redlock, queue, find, run };
}

async function waitersOf(redlock: Redlock): Promise<number> {
  return (await redlock.inspect(KEY)).waiting;
}

test("a better priority moves the last job to the front at the next hand-over", async () => {
  const { redlock, queue, find, run } = await park(8, 5);
  const elsewhere = bench.redlock();

  await changePriority(elsewhere, await find(7), { priority: 1 });

  expect((await queue.getJob((await find(7)).id!))!.priority).toBe(1);
  expect((await redlock.inspect(KEY)).waiters[0]).toMatchObject({ priority: 1 });
  expect(await run()).toEqual([7, 0, 1, 2, 3, 4, 5, 6]);
});

test("a worse priority moves the first job behind all others", async () => {
  const { redlock, find, run } = await park(6, 5);

  await changePriority(redlock, await find(0), { priority: 9 });

  expect(await run()).toEqual([1, 2, 3, 4, 5, 0]);
});

test("lifo moves a job before those of its priority, also when it joins again", async () => {
  const { redlock, queue, find, run } = await park(6, 0);
  const job = await find(5);

  await changePriority(redlock, job, { lifo: true });
  const { attemptsStarted } = await find(5);
  await job.promote();
  await waitFor(async () => {
    expect((await find(5)).attemptsStarted).toBeGreaterThan(attemptsStarted);
    expect(await queue.getDelayedCount()).toBe(6);
  });

  const [first] = (await redlock.inspect(KEY)).waiters;
  expect(first).toMatchObject({ job: `bull:invoices:${job.id}`, priority: 0 });
  expect(await run()).toEqual([5, 0, 1, 2, 3, 4]);
});

test("a job that waits for no key changes its priority as by itself", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const { id } = await queue.add("charge", {}, { priority: 5 });

  await changePriority(redlock, (await queue.getJob(id!))!, { priority: 2 });

  expect((await queue.getJob(id!))!.priority).toBe(2);
  expect(await waitersOf(redlock)).toBe(0);
});

test.each([
  ["priority: found -1, expected an integer from 0 to 2097151", { priority: -1 }],
  ["priority: found NaN, expected an integer from 0 to 2097151", { priority: Number.NaN }],
  ["priority: found 1.5, expected an integer from 0 to 2097151", { priority: 1.5 }],
  ["priority: found 2097152, expected an integer from 0 to 2097151", { priority: 2_097_152 }],
  ['priority: found "1", expected an integer from 0 to 2097151', { priority: "1" }],
  ["priority: found null, expected an integer from 0 to 2097151", { priority: null }],
  ['lifo: found "yes", expected a boolean', { lifo: "yes" }],
  ["prio: found an unknown option, expected one of priority, lifo", { prio: 1 }],
  ["options: found neither priority nor lifo, expected one of them", {}],
  ["options: found nothing, expected an object with priority or lifo", undefined],
])("%s: is refused, and the job keeps its priority", async (message, options) => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const { id } = await queue.add("charge", {}, { priority: 5 });
  const job = (await queue.getJob(id!))!;

  const refused = changePriority(redlock, job, options as object);

  await expect(refused).rejects.toMatchObject({ code: "ERR_REDLOCK_CONFIG", message });
  expect((await queue.getJob(id!))!.priority).toBe(5);
});

test("the largest priority of BullMQ is taken", async () => {
  const queue = bench.queue();
  const { id } = await queue.add("charge", {}, { priority: 2_097_151 });

  await changePriority(bench.redlock(), (await queue.getJob(id!))!, { priority: 2_097_151 });

  expect((await queue.getJob(id!))!.priority).toBe(2_097_151);
  await expect(queue.add("charge", {}, { priority: 2_097_152 })).rejects.toThrow("Priority");
});
