import type { Job } from "bullmq";
import { Worker as WorkerOf5 } from "bullmq5";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type RedlockOptions, withLock } from "../../src/index.ts";
import { failNextTime } from "../../src/bullmq/bullmq-job.ts";
import type { LockPolicies } from "../../src/bullmq/options.ts";
import { redisClient } from "../support/redis.ts";
import { aborted, ends, errorsOf, Gate, QUEUE, useBench } from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const bench = useBench();
const KEY = "account:{{data.account}}";

/** A queue, and a worker whose processor must not be called. */
function setUp(policies: Partial<LockPolicies<Job>> = {}, options: RedlockOptions = {}) {
  const redlock = bench.redlock(options);
  const queue = bench.queue();
  const processor = vi.fn(() => Promise.resolve("ran"));
  const worker = bench.worker(withLock({ redlock, key: KEY, ...policies }, processor));
  return { redlock, queue, processor, worker, done: ends(worker, 1) };
}

describe("a job that is cancelled before it has its lock does not run", () => {
  test("while the masters hang: at once, and also when they are back", async () => {
    const { redlock, queue, processor, worker, done } = setUp(
      {},
      { ttl: 10_000, nodeTimeout: 1_000 },
    );
    await redlock.isLocked("account:a");
    bench.freeze();
    const active = new Promise<Job>((resolve) => worker.once("active", resolve));
    await queue.add("charge", { account: "a" });
    const { id } = await active;

    await waitFor(() => expect(worker.cancelJob(id!, "enough")).toBe(true));

    expect((await done)[0]).toMatchObject({
      error: { message: "cancelled before it acquired its lock: enough" },
      job: { attemptsMade: 1 },
    });
    bench.thaw();
    await waitFor(async () => expect(await redlock.isLocked("account:a")).toBe(false));
    expect(processor).not.toHaveBeenCalled();
    expect(errorsOf(worker)).toEqual([]);
  });

  test.each(["conflict", "unavailable"] as const)(
    "while it is being moved to the delayed set: %s",
    async (reason) => {
      const { redlock, queue, processor, worker, done } = setUp();
      const holder = bench.redlock();
      await using _ = await holder.acquire("account:a");
      if (reason === "unavailable") bench.freeze();
      const cancelled = new Gate<boolean>();
      redlock.once("parked", ({ job }) => {
        cancelled.open(worker.cancelJob(job.split(":").at(-1)!, "enough"));
      });

      const job = await queue.add("charge", { account: "a" });

      expect(await cancelled.opened).toBe(true);
      expect((await done)[0]!.error?.message).toBe("cancelled before it acquired its lock: enough");
      bench.thaw();
      expect(await queue.getJobState(job.id!)).toBe("failed");
      await waitFor(async () => {
        expect((await redlock.inspect("account:a")).waiting).toBe(0);
      });
      expect(processor).not.toHaveBeenCalled();
      expect(errorsOf(worker)).toEqual([]);
    },
  );

  test.each(["delay", "skip", "fail", "wait"] as const)(
    'between the conflict and what "%s" makes of it',
    async (onConflict) => {
      const { redlock, queue, processor, worker, done } = setUp({
        onConflict: (job) => {
          expect(worker.cancelJob(job.id!, "enough")).toBe(true);
          return onConflict;
        },
      });
      await using _ = await bench.redlock().acquire("account:a");

      const job = await queue.add("charge", { account: "a" });

      expect((await done)[0]!.error?.message).toBe("cancelled before it acquired its lock: enough");
      expect(await queue.getJobState(job.id!)).toBe("failed");
      await waitFor(async () => {
        expect((await redlock.inspect("account:a")).waiting).toBe(0);
      });
      expect(processor).not.toHaveBeenCalled();
    },
  );

  test("between its grant and its start: the key is free again", async () => {
    const { redlock, queue, processor, worker, done } = setUp();
    redlock.once("acquired", () => worker.cancelAllJobs("enough"));

    await queue.add("charge", { account: "a" });

    expect((await done)[0]!.error?.message).toBe("cancelled before it acquired its lock: enough");
    expect(await redlock.isLocked("account:a")).toBe(false);
    expect(processor).not.toHaveBeenCalled();
  });

  test("while it is being delayed because it lost its lock", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const processor = vi.fn(async (_job: Job, _token: string, signal: AbortSignal) => {
      for (const url of bench.masterUrls)
        await redisClient(url).set("redlock:account:a", "another", "PX", 300);
      await aborted(signal);
    });
    const options = { redlock, key: KEY, heartbeat: 200 };
    const worker = bench.worker(withLock(options, processor));
    const done = ends(worker, 1);
    redlock.once("parked", () => worker.cancelAllJobs("enough"));

    await queue.add("charge", { account: "a" });

    expect((await done)[0]!.error?.message).toBe("cancelled before it acquired its lock: enough");
    expect(processor).toHaveBeenCalledOnce();
  });

  test("with the oldest BullMQ", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const processor = vi.fn(() => Promise.resolve("ran"));
    const wrapped = withLock({ redlock, key: KEY }, processor);
    const worker = new WorkerOf5(QUEUE, wrapped as never, { connection: { url: bench.queueUrl } });
    onTestFinished(async () => await worker.close());
    const failed = new Promise<Error>((resolve) => {
      worker.once("failed", (_, error) => resolve(error));
    });
    await using _ = await bench.redlock().acquire("account:a");
    redlock.once("parked", () => worker.cancelAllJobs("enough"));

    const job = await queue.add("charge", { account: "a" });

    expect((await failed).message).toBe("cancelled before it acquired its lock: enough");
    expect(await queue.getJobState(job.id!)).toBe("failed");
    expect(processor).not.toHaveBeenCalled();
  });
});

test("a job that was cancelled and removed while it was being delayed stays removed", async () => {
  const { redlock, queue, worker } = setUp();
  await using _ = await bench.redlock().acquire("account:a");
  const removed = new Gate();
  redlock.once("parked", ({ job }) => {
    worker.cancelAllJobs("enough");
    void queue.remove(job.split(":").at(-1)!).then(() => removed.open());
  });
  const job = await queue.add("charge", { account: "a" });
  await removed.opened;
  await worker.close();

  expect(await queue.getJobState(job.id!)).toBe("unknown");
  expect(await queue.getJob(job.id!)).toBeUndefined();
});

test("a job that is removed while its failure is being written stays removed", async () => {
  const queue = bench.queue();
  const job = await queue.add("charge", { account: "a" }, { delay: 60_000 });
  await job.remove();

  await failNextTime(job, "enough");

  expect(await queue.getJob(job.id!)).toBeUndefined();
});
