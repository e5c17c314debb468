import type { Job } from "bullmq";
import { describe, expect, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { ends, errorsOf, next, useBench } from "./support.ts";

interface Data {
  account: string;
}

const bench = useBench();
const KEY = "account:{{data.account}}";

describe("while too few masters answer", () => {
  test('"delay" puts jobs aside without an attempt, and they run by themselves when the masters are back', async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const worker = bench.worker(withLock({ redlock, key: KEY }, async () => "ran"));
    const done = ends(worker, 1);
    const parked = next(redlock, "parked");
    await redlock.isLocked("account:a");
    bench.freeze();

    const job = await queue.add("charge", { account: "a" });
    expect(await parked).toMatchObject({ keys: ["account:a"], reason: "unavailable" });
    expect((await queue.getJob(job.id!))!.attemptsMade).toBe(0);
    bench.thaw();

    expect((await done)[0]).toMatchObject({ result: "ran", job: { attemptsMade: 1 } });
    expect((await queue.getJobLogs(job.id!)).logs[0]).toMatch(
      /^\[lock\] "account:a": 0 of 3 nodes answered .*; retry in \d+ ms$/,
    );
    expect(errorsOf(worker)).toEqual([]);
  });

  test('"delay" counts towards maxWait', async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const worker = bench.worker(withLock({ redlock, key: KEY, maxWait: 600 }, async () => "ran"));
    const done = ends(worker, 1);
    await redlock.isLocked("account:a");
    bench.freeze();

    await queue.add("charge", { account: "a" });

    expect((await done)[0]).toMatchObject({
      error: { code: "ERR_REDLOCK_UNAVAILABLE" },
      job: { attemptsMade: 1 },
    });
  });

  test("a wait that is over for want of masters can be skipped, and no holder is named", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const worker = bench.worker(
      withLock({ redlock, key: KEY, maxWait: 100, onMaxWait: "skip" }, async () => "ran"),
    );
    const done = ends(worker, 1);
    await redlock.isLocked("account:a");
    bench.freeze();

    await queue.add("charge", { account: "a" });

    expect((await done)[0]!.result).toEqual({
      skipped: true,
      reason: "max-wait",
      key: "account:a",
      holder: null,
    });
  });

  test('"fail" throws the LockUnavailableError with what each node said', async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const worker = bench.worker(
      withLock(
        { redlock, key: KEY, onUnavailable: "fail", unrecoverable: true },
        async () => "ran",
      ),
    );
    const failed = new Promise<Error>((resolve) => {
      worker.once("failed", (_job, error) => resolve(error));
    });
    await redlock.isLocked("account:a");
    bench.freeze();

    await queue.add("charge", { account: "a" }, { attempts: 2, backoff: 60_000 });

    expect(await failed).toMatchObject({
      name: "LockUnavailableError",
      votes: [{ vote: "timed-out" }, { vote: "timed-out" }, { vote: "timed-out" }],
    });
  });

  test('"run" runs without a lock, and says so in the log of the job', async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const worker = bench.worker(
      withLock(
        { redlock, key: KEY, onUnavailable: "run" },
        async (_job: Job<Data>, _token, _signal, lock) => {
          return await Promise.resolve([lock.held, lock.keys, lock.fencingToken]);
        },
      ),
    );
    const done = ends(worker, 1);
    await redlock.isLocked("account:a");
    bench.freeze();

    const job = await queue.add("charge", { account: "a" });

    expect((await done)[0]!.result).toEqual([false, [], 0]);
    expect((await queue.getJobLogs(job.id!)).logs).toEqual([
      expect.stringMatching(
        /^\[lock\] "account:a": 0 of 3 nodes answered .*; runs without a lock$/,
      ),
    ]);
  });
});

test("jobs are put aside without an attempt when the Redlock is closed before the worker", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const worker = bench.worker(
    withLock({ redlock, key: KEY, onUnavailable: "run" }, async () => "ran"),
  );
  const parked = next(redlock, "parked");
  await redlock.close();

  const job = await queue.add("charge", { account: "a" });

  expect(await parked).toMatchObject({ reason: "unavailable" });
  await worker.close();
  expect((await queue.getJob(job.id!))!.attemptsMade).toBe(0);
});
