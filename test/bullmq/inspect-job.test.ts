import { DelayedError, type Job, type Queue } from "bullmq";
import { expect, test } from "vitest";
import { inspectJob, LockUnavailableError, withLock } from "../../src/index.ts";
import { redisClient } from "../support/redis.ts";
import { Gate, next, useBench } from "./support.ts";

const bench = useBench();
/** A busy machine takes more than the usual second. */
const TWO_KEYS = ["account:{{data.account}}", "order:{{data.order}}"] as const;

async function fetched(queue: Queue, id: string | undefined): Promise<Job> {
  const job = await queue.getJob(id ?? "");
  if (job === undefined) throw new Error(`no job ${id}`);
  return job;
}

test("a parked job waits for all its keys, behind their holders, and has an alarm", async () => {
  const redlock = bench.redlock({ ttl: 10_000 });
  const queue = bench.queue();
  const account = await redlock.acquire("account:a", { holder: "an import" });
  const order = await redlock.acquire("order:1", { holder: "an export" });
  bench.worker(
    withLock({ redlock, key: TWO_KEYS }, async () => "ran"),
    { concurrency: 2 },
  );
  const before = Date.now();
  const first = await queue.add("a", { account: "a", order: 1 });
  await next(redlock, "parked");
  const second = await queue.add("b", { account: "a", order: 2 });
  await next(redlock, "parked");
  const stored = async (): Promise<string[]> => await redisClient(bench.queueUrl).keys("*");
  const keysOfQueue = await stored();

  await expect
    .poll(async () => (await inspectJob(redlock, await fetched(queue, second.id))).keys)
    .toHaveLength(1);
  const found = await inspectJob(redlock, await fetched(queue, first.id));
  expect(found).toMatchObject({
    job: `bull:invoices:${first.id}`,
    state: "delayed",
    delayedBy: "parked",
  });
  expect(found.keys.toSorted((a, b) => (a.key < b.key ? -1 : 1))).toMatchObject([
    { key: "account:a", holder: { text: "an import" }, position: 1, waiting: 2 },
    { key: "order:1", holder: { text: "an export" }, position: 1, waiting: 1 },
  ]);
  expect(found.waitingSince).toBeGreaterThanOrEqual(before);
  expect(found.waitingSince).toBeLessThanOrEqual(Date.now());
  expect(found.returnsAt).toBeGreaterThan(Date.now());
  expect(found.returnsAt).toBeLessThan(Date.now() + 20_000);
  expect((await inspectJob(redlock, await fetched(queue, second.id))).keys).toMatchObject([
    { key: "account:a", position: 2, waiting: 2 },
  ]);
  // A job that was woken to check its keys may have been waiting then.
  expect((await stored()).filter((name) => !keysOfQueue.includes(name))).toEqual([]);

  bench.freeze();
  const error: unknown = await inspectJob(redlock, await fetched(queue, first.id)).catch(
    (error: unknown) => error,
  );
  bench.thaw();
  expect(error).toBeInstanceOf(LockUnavailableError);
  await account.release();
  await order.release();
});

test("a job that waits for no key has another reason", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const gate = new Gate();
  const worker = bench.worker(
    withLock({ redlock, key: "account:{{data.account}}" }, async (job: Job, jobToken) => {
      if (job.name === "fails") throw new Error("no such account");
      if (job.name === "moves itself") {
        await job.moveToDelayed(Date.now() + 60_000, jobToken);
        throw new DelayedError();
      }
      if (job.name === "runs") await gate.opened;
    }),
    { concurrency: 4 },
  );
  const failed = new Promise((resolve) => worker.once("failed", resolve));
  const retried = await queue.add(
    "fails",
    { account: "b" },
    { attempts: 3, backoff: { type: "fixed", delay: 60_000 } },
  );
  await failed;
  const late = await queue.add("late", { account: "c" }, { delay: 60_000 });
  const active = next(redlock, "acquired");
  const running = await queue.add("runs", { account: "d" });
  await active;
  const moved = await queue.add("moves itself", { account: "e" });
  await expect.poll(async () => await moved.getState()).toBe("delayed");

  const inspect = async (id: string | undefined) =>
    await inspectJob(redlock, await fetched(queue, id));
  expect(await inspect(retried.id)).toMatchObject({ delayedBy: "retry", keys: [] });
  const { returnsAt, ...rest } = await inspect(late.id);
  expect(rest).toMatchObject({ delayedBy: "delay", waitingSince: undefined, keys: [] });
  expect(returnsAt).toBe(late.timestamp + 60_000);
  expect(await inspect(moved.id)).toMatchObject({ delayedBy: "delay", keys: [] });
  expect(await inspect(running.id)).toEqual({
    job: `bull:invoices:${running.id}`,
    state: "active",
    delayedBy: undefined,
    waitingSince: undefined,
    returnsAt: undefined,
    keys: [],
  });
  gate.open();
  await expect.poll(async () => (await inspect(running.id)).state).toBe("completed");
});

test("a job that no masters could serve is delayed without a wait list", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  // The queue gets its id.
  const worker = bench.worker(
    withLock({ redlock, key: "account:{{data.account}}" }, async () => "ran"),
  );
  const acquired = next(redlock, "acquired");
  await queue.add("first", { account: "a" });
  await acquired;
  bench.freeze();
  const job = await queue.add("second", { account: "a" });
  expect(await next(redlock, "parked")).toMatchObject({ reason: "unavailable" });
  // The masters may need longer than the job to come back.
  await worker.pause();
  bench.thaw();
  const found = await fetched(queue, job.id);
  await expect.poll(async () => (await inspectJob(redlock, found)).delayedBy).toBe("unavailable");
});
