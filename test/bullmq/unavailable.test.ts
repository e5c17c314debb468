import type { Job, Processor, Worker } from "bullmq";
import { Worker as WorkerOf5 } from "bullmq5";
import { describe, expect, onTestFinished, test } from "vitest";
import { SuspendAwareClock } from "../../src/clock.ts";
import { REAL_RUNTIME } from "../../src/redlock/make-context.ts";
import { type RedlockWarning, withLock } from "../../src/index.ts";
import { engineOf } from "../../src/redlock/redlock.ts";
import { redisClient } from "../support/redis.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { ends, errorsOf, Gate, next, QUEUE, useBench } from "./support.ts";

interface Data {
  account: string;
}

/** An hour ahead. */
class FastClock extends SuspendAwareClock {
  override wall(): number {
    return super.wall() + 3_600_000;
  }
}

const bench = useBench();
const KEY = "account:{{data.account}}";

describe("while too few masters answer", () => {
  test('"delay" delays jobs without an attempt, and they run when the masters are back', async () => {
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
      /^\[lock\] "account:a": 0 of 3 masters answered .*; retry in \d+ ms$/,
    );
    expect(errorsOf(worker)).toEqual([]);
  });

  test('"delay" by a worker whose clock is an hour ahead holds up no other worker', async () => {
    const fast = bench.redlock({}, { ...REAL_RUNTIME, clock: new FastClock() });
    const warnings: RedlockWarning[] = [];
    fast.on("warning", (warning) => warnings.push(warning));
    const queue = bench.queue();
    bench.freeze();
    const worker = bench.worker(withLock({ redlock: fast, key: KEY }, async () => "ran"));
    const parked = next(fast, "parked");
    await queue.add("charge", { account: "a" });
    expect(await parked).toMatchObject({ reason: "unavailable" });
    await worker.close();
    bench.thaw();

    const right = bench.worker(withLock({ redlock: bench.redlock(), key: KEY }, async () => "ran"));
    expect((await ends(right, 1))[0]).toMatchObject({ result: "ran", job: { attemptsMade: 1 } });
    expect(warnings).toMatchObject([
      {
        code: "clock-ahead",
        message: expect.stringMatching(/is 3\d{3} s ahead of that of the Redis/),
      },
    ]);
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

  test('on half-open connections alone, a job runs on new ones, under "fail" too', async () => {
    const ports = bench.masterUrls.map((url) => Number(new URL(url).port));
    const proxies = await Promise.all(ports.map((port) => TcpProxy.start(port)));
    onTestFinished(async () => void (await Promise.all(proxies.map((proxy) => proxy.stop()))));
    const redlock = bench.redlock({ nodes: proxies.map(({ url }) => url), ttl: 5_000 });
    const queue = bench.queue();
    const worker = bench.worker(
      withLock({ redlock, key: KEY, onUnavailable: "fail" }, async () => "ran"),
    );
    const done = ends(worker, 1);
    await redlock.isLocked("account:a");
    for (const proxy of proxies) proxy.strand();

    await queue.add("charge", { account: "a" });

    expect((await done)[0]).toMatchObject({ result: "ran", job: { attemptsMade: 1 } });
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
      withLock({ redlock, key: KEY, onUnavailable: "fail" }, async () => "ran"),
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
        /^\[lock\] "account:a": 0 of 3 masters answered .*; runs without a lock$/,
      ),
    ]);
  });

  test.each(["fail", "run"] as const)(
    '"%s" leaves the wait list that the one living master had put the job into',
    async (onUnavailable) => {
      const redlock = bench.redlock();
      const holder = await redlock.acquire("account:a");
      onTestFinished(async () => void (await holder.release()));
      const worker = bench.worker(
        withLock({ redlock, key: KEY, onUnavailable }, async () => "ran"),
      );
      const ended = new Promise((resolve) => {
        worker.once("completed", resolve);
        worker.once("failed", resolve);
      });
      bench.freeze(1);

      await bench.queue().add("charge", { account: "a" });
      await ended;

      const { names } = engineOf(redlock).context;
      const alive = redisClient(bench.masterUrls[0] ?? "");
      await expect.poll(async () => await alive.zcard(names.waiters("account:a"))).toBe(0);
      bench.thaw();
    },
  );
});

describe("when the Redlock is closed before the worker", () => {
  test.each([
    ["the newest BullMQ", (processor: Processor) => bench.worker(processor)],
    ["the oldest BullMQ", oldWorker],
  ])(
    "jobs are delayed without an attempt, and the worker takes up no more: %s",
    async (_, make) => {
      const redlock = bench.redlock();
      const warnings: RedlockWarning[] = [];
      redlock.on("warning", (warning) => warnings.push(warning));
      const queue = bench.queue();
      const processor = withLock({ redlock, key: KEY, onUnavailable: "run" }, async () => "ran");
      const worker = make(processor);
      const first = new Promise((resolve) => worker.once("completed", resolve));
      await queue.add("charge", { account: "a" });
      await first;
      let taken = 0;
      worker.on("active", () => (taken += 1));
      const paused = new Promise<void>((resolve) => worker.once("paused", () => resolve()));

      await redlock.close();
      await paused;
      const jobs = await queue.addBulk(
        ["a", "b", "c", "d"].map((account) => ({ name: "charge", data: { account } })),
      );

      // Another process takes all jobs.
      const other = bench.worker(
        withLock({ redlock: bench.redlock(), key: KEY }, async () => "ran"),
      );
      await ends(other, 4);
      expect(taken).toBeLessThanOrEqual(1);
      for (const { id } of jobs) {
        expect(await queue.getJob(id!)).toMatchObject({ returnvalue: "ran", attemptsMade: 1 });
      }
      await worker.close();
      expect(warnings).toEqual([
        expect.objectContaining({
          code: "closed-before-worker",
          message: expect.stringContaining("worker of bull:invoices") as string,
        }),
      ]);
    },
  );

  test("a worker that has run nothing yet is paused by its first job, which is delayed", async () => {
    const redlock = bench.redlock();
    redlock.on("warning", () => {});
    const queue = bench.queue();
    await redlock.close();
    const worker = bench.worker(withLock({ redlock, key: KEY }, async () => "ran"));
    const paused = new Promise<void>((resolve) => worker.once("paused", () => resolve()));
    const job = await queue.add("charge", { account: "a" });
    await paused;
    await worker.close();
    expect(await queue.getJob(job.id!)).toMatchObject({ attemptsMade: 0 });
    expect(await queue.getJobState(job.id!)).toBe("delayed");
  });

  test("a worker that closes too is left alone", async () => {
    const redlock = bench.redlock();
    const warnings: RedlockWarning[] = [];
    redlock.on("warning", (warning) => warnings.push(warning));
    const queue = bench.queue();
    const gate = new Gate();
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async () => {
        gate.open();
        await next(redlock, "extended");
        return "ran";
      }),
    );
    const done = ends(worker, 1);
    await queue.add("charge", { account: "a" });
    await gate.opened;

    await Promise.all([worker.close(), redlock.close()]);

    // A job that has finished is not run again.
    expect((await done)[0]).toMatchObject({ result: "ran" });
    expect(warnings).toEqual([]);
  });

  test("a job that runs is let finish, under its lock, and is not run again", async () => {
    const redlock = bench.redlock();
    redlock.on("warning", () => {});
    const queue = bench.queue();
    const gates = [new Gate(), new Gate()] as const;
    let signalled: boolean | undefined;
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async (_job: Job<Data>, _token, signal, lock) => {
        gates[0].open();
        await gates[1].opened;
        signalled = signal.aborted || !lock.held;
        return "ran";
      }),
    );
    const done = ends(worker, 1);
    await queue.add("charge", { account: "a" });
    await gates[0].opened;

    const closing = redlock.close();
    await next(redlock, "extended");
    gates[1].open();

    expect((await done)[0]).toMatchObject({ result: "ran", job: { attemptsMade: 1 } });
    expect(signalled).toBe(false);
    await closing;
    expect(await bench.redlock().isLocked("account:a")).toBe(false);
  });
});

/** A worker of the oldest BullMQ that is supported. */
function oldWorker(processor: Processor): Worker {
  const worker = new WorkerOf5(QUEUE, processor as never, { connection: { url: bench.queueUrl } });
  onTestFinished(async () => await worker.close());
  return worker as unknown as Worker;
}
