import { UnrecoverableError, type Job } from "bullmq";
import { describe, expect, test } from "vitest";
import { type Lock, type LockConflictError, withLock } from "../../src/index.ts";
import { ends, errorsOf, Gate, next, TTL, useBench } from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

interface Data {
  account: string;
}

const bench = useBench();
const KEY = "account:{{data.account}}";

describe('onConflict "delay"', () => {
  test("runs every job once, one at a time, by priority, without using an attempt", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    let running = 0;
    let most = 0;
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async (job: Job<Data>) => {
        most = Math.max(most, ++running);
        // The work itself takes time; the test waits for nothing.
        await new Promise((resolve) => setTimeout(resolve, 20));
        running -= 1;
        return job.id;
      }),
      { concurrency: 4 },
    );
    const done = ends(worker, 6);
    const parked = next(redlock, "parked");

    await queue.addBulk(
      [0, 0, 3, 3, 7, 7].map((priority) => ({
        name: "charge",
        data: { account: "a" },
        opts: { priority },
      })),
    );

    const jobs = await Promise.all((await done).map(({ job }) => queue.getJob(job.id!)));
    expect(most).toBe(1);
    expect(jobs.map((job) => job!.attemptsMade)).toEqual(Array(6).fill(1));
    expect(jobs.map((job) => job!.priority).sort((a, b) => a - b)).toEqual([0, 0, 3, 3, 7, 7]);
    expect(jobs.every((job) => job!.stacktrace?.length === 0)).toBe(true);
    expect(jobs.some((job) => job!.attemptsStarted > 1)).toBe(true);
    expect(await parked).toMatchObject({ keys: ["account:a"], reason: "conflict" });
    expect(errorsOf(worker)).toEqual([]);
  });

  test("frees the slot: a job on a free key does not wait for one on a taken key", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:taken");
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async () => "ran"),
      { concurrency: 1 },
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "taken" });
    const free = await queue.add("charge", { account: "free" });

    expect((await done)[0]!.job.id).toBe(free.id);
  });

  test("wakes the job at the release, in one more activation, and logs the holder", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const lock = await redlock.acquire("account:a", { holder: "the operator" });
    const parked = next(redlock, "parked");
    const woken = next(redlock, "woken");
    const worker = bench.worker(withLock({ redlock, key: KEY }, async () => "ran"));
    const done = ends(worker, 1);

    const job = await queue.add("charge", { account: "a" });
    // Its alarm: when the holder's lock should have ended, and a little more.
    const { delay } = await parked;
    expect(delay).toBeGreaterThan(0.5 * TTL);
    expect(delay).toBeLessThanOrEqual(1.3 * TTL);
    await lock.release();
    await done;

    expect(await woken).toEqual({ job: `bull:invoices:${job.id}`, queue: "invoices" });
    expect((await queue.getJob(job.id!))?.attemptsStarted).toBe(2);
    const { logs } = await queue.getJobLogs(job.id!);
    expect(logs[0]).toMatch(/^\[lock\] "account:a" is held by the operator; .*; parked$/);
  });

  test("tries again when the lock of a dead holder ends", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:a", { heartbeat: false });
    const startedAt = performance.now();
    const worker = bench.worker(withLock({ redlock, key: KEY }, async () => "ran"));
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });
    await done;

    expect(performance.now() - startedAt).toBeLessThan(TTL + 3_000);
  });
});

describe('onConflict "wait"', () => {
  test("waits in its worker slot and runs in that activation at the release", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const lock = await redlock.acquire("account:a");
    const conflict = next(redlock, "conflict");
    const worker = bench.worker(
      withLock({ redlock, key: KEY, onConflict: "wait" }, async () => "ran"),
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });
    await conflict;
    await lock.release();

    const [end] = await done;
    expect(end!.job.attemptsStarted).toBe(1);
  });

  test("parks the job after waitTimeout", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:a");
    const parked = next(redlock, "parked");
    bench.worker(
      withLock({ redlock, key: KEY, onConflict: "wait", waitTimeout: 200 }, async () => "ran"),
    );
    const startedAt = performance.now();

    const job = await queue.add("charge", { account: "a" });

    expect(await parked).toMatchObject({ reason: "conflict", job: `bull:invoices:${job.id}` });
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(200);
  });

  test("ends within a second for all waiting jobs, by one listener, when a worker closes", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:a");
    let conflicts = 0;
    const waiting = new Gate();
    // The second conflict of each job is that of its wait.
    redlock.on("conflict", () => {
      if (++conflicts === 40) waiting.open();
    });
    const worker = bench.worker(
      withLock({ redlock, key: KEY, onConflict: "wait", waitTimeout: 20_000 }, async () => "ran"),
      { concurrency: 20 },
    );
    await queue.addBulk(
      Array.from({ length: 20 }, () => ({ name: "charge", data: { account: "a" } })),
    );
    await waiting.opened;
    const listeners = worker.listenerCount("closing");
    const startedAt = performance.now();

    await worker.close();

    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(listeners).toBeLessThanOrEqual(2);
    const jobs = await queue.getJobs(["delayed", "waiting"]);
    expect(jobs).toHaveLength(20);
    expect(jobs.every(({ attemptsMade }) => attemptsMade === 0)).toBe(true);
    expect(errorsOf(worker)).toEqual([]);
  });

  test("fails within a second when the job is cancelled, and says so", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:a");
    const conflict = next(redlock, "conflict");
    const worker = bench.worker(
      withLock({ redlock, key: KEY, onConflict: "wait", waitTimeout: 20_000 }, async () => "ran"),
    );
    const done = ends(worker, 1);
    const job = await queue.add("charge", { account: "a" });
    await conflict;
    const startedAt = performance.now();

    expect(worker.cancelJob(job.id!, "not needed any more")).toBe(true);

    const [end] = await done;
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(end!.error!.message).toBe("cancelled before it acquired its lock: not needed any more");
  });
});

describe('onConflict "skip"', () => {
  test("completes the job with the holder of the key, and logs it", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:a", { holder: "the operator" });
    const worker = bench.worker(
      withLock({ redlock, key: KEY, onConflict: "skip" }, async () => "ran"),
    );
    const done = ends(worker, 1);

    const job = await queue.add("charge", { account: "a" });

    expect((await done)[0]!.result).toEqual({
      skipped: true,
      reason: "conflict",
      key: "account:a",
      holder: "the operator",
    });
    expect((await queue.getJobLogs(job.id!)).logs).toEqual([
      expect.stringMatching(/^\[lock\] "account:a" is held by the operator.*; skipped$/),
    ]);
  });

  test("gives the result of skipResult", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:a", { holder: "the operator" });
    const worker = bench.worker(
      withLock(
        {
          redlock,
          key: KEY,
          onConflict: "skip",
          skipResult: (job, conflict) => ({ mine: job.data.account, by: conflict.holder?.text }),
        },
        async (_job: Job<Data>): Promise<unknown> => "ran",
      ),
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });

    expect((await done)[0]!.result).toEqual({ mine: "a", by: "the operator" });
  });
});

describe('onConflict "skip", of a job that has failed before', () => {
  test("delays the retry: its work is not done", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    let attempts = 0;
    let other: Lock | undefined;
    const worker = bench.worker(
      withLock({ redlock, key: KEY, onConflict: "skip" }, async () => {
        attempts += 1;
        if (attempts === 1) throw new Error("the first attempt");
        return "ran";
      }),
    );
    worker.on("failed", () => {
      void redlock.acquire("account:a").then((lock) => (other = lock));
    });

    const job = await queue.add(
      "charge",
      { account: "a" },
      { attempts: 2, backoff: { type: "fixed", delay: 300 } },
    );
    await waitFor(async () => {
      expect((await queue.getJobLogs(job.id!)).logs.at(-1)).toMatch(/is held by .*; parked$/);
    });
    const done = ends(worker, 1);
    await other!.release();

    expect((await done)[0]!.result).toBe("ran");
    expect(attempts).toBe(2);
  });
});

describe('onConflict "fail"', () => {
  test("fails the attempt with the LockConflictError, and BullMQ retries it", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const lock = await redlock.acquire("account:a", { holder: "the operator" });
    const worker = bench.worker(
      withLock({ redlock, key: KEY, onConflict: "fail" }, async () => "ran"),
    );
    const done = ends(worker, 1);
    const failed = new Promise<Error>((resolve) => {
      worker.once("failed", (_job, error) => resolve(error));
    });

    await queue.add("charge", { account: "a" }, { attempts: 2, backoff: 200 });

    expect(await failed).toMatchObject({
      code: "ERR_REDLOCK_CONFLICT",
      key: "account:a",
      holder: { text: "the operator" },
    });
    await lock.release();
    expect((await done)[0]).toMatchObject({ result: "ran", job: { attemptsMade: 2 } });
  });

  test("fails for good where a function throws an UnrecoverableError", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:a");
    const worker = bench.worker(
      withLock(
        {
          redlock,
          key: KEY,
          onConflict: (_job: Job, conflict): "delay" => {
            throw Object.assign(new UnrecoverableError(conflict.message), { cause: conflict });
          },
        },
        async (): Promise<unknown> => "ran",
      ),
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" }, { attempts: 5 });

    const [end] = await done;
    expect(end!.job.attemptsMade).toBe(1);
    expect(end!.error).toMatchObject({
      name: new UnrecoverableError().name,
      cause: { code: "ERR_REDLOCK_CONFLICT" },
    });
    expect((await redlock.inspect("account:a")).waiting).toBe(0);
  });
});

describe("onConflict as a function", () => {
  test("chooses for each job, and may take its time", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:a");
    const seen: LockConflictError[] = [];
    const worker = bench.worker(
      withLock(
        {
          redlock,
          key: KEY,
          onConflict: async (job, conflict) => {
            seen.push(conflict);
            return await Promise.resolve(job.name === "skippable" ? "skip" : "fail");
          },
        },
        async (_job: Job<Data>) => "ran",
      ),
    );
    const done = ends(worker, 2);

    await queue.add("skippable", { account: "a" });
    await queue.add("urgent", { account: "a" });

    const outcomes = await done;
    expect(outcomes.find(({ job }) => job.name === "skippable")!.result).toMatchObject({
      skipped: true,
    });
    expect(outcomes.find(({ job }) => job.name === "urgent")!.error).toMatchObject({
      code: "ERR_REDLOCK_CONFLICT",
    });
    expect(seen[0]).toMatchObject({ key: "account:a" });
  });

  test("gets the number of waiters, also for simultaneous conflicts: 3 of 12 jobs wait", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const lock = await redlock.acquire("account:a");
    const seen: (number | undefined)[] = [];
    const worker = bench.worker(
      withLock(
        {
          redlock,
          key: KEY,
          onConflict: (_job, { waiting = 0 }) => {
            seen.push(waiting);
            return waiting >= 3 ? "skip" : "delay";
          },
        },
        async (_job: Job<Data>): Promise<unknown> => "ran",
      ),
      { concurrency: 12 },
    );
    const skipped = ends(worker, 9);

    await queue.addBulk(
      Array.from({ length: 12 }, () => ({ name: "charge", data: { account: "a" } })),
    );

    expect((await skipped).every(({ result }) => result !== "ran")).toBe(true);
    expect(seen.slice(0, 3)).toEqual(expect.arrayContaining([0, 1, 2]));
    await waitFor(async () => {
      expect((await redlock.inspect("account:a")).waiting).toBe(3);
    });
    const done = ends(worker, 3);
    await lock.release();
    expect((await done).map(({ result }) => result)).toEqual(["ran", "ran", "ran"]);
  });

  test.each<[string, () => never]>([
    [
      "throws",
      () => {
        throw new Error("no choice");
      },
    ],
    ["gives no policy", () => undefined as never],
  ])("leaves no waiter behind when it %s", async (_, onConflict) => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:a");
    const worker = bench.worker(withLock({ redlock, key: KEY, onConflict }, async () => "ran"));
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });

    expect((await done)[0]!.error).toBeInstanceOf(Error);
    await waitFor(async () => {
      expect((await redlock.inspect("account:a")).waiting).toBe(0);
    });
  });

  test.each(["dealy", undefined])(
    "fails the job, naming the policies, when it gives %s",
    async (given) => {
      const redlock = bench.redlock();
      const queue = bench.queue();
      await redlock.acquire("account:a");
      const worker = bench.worker(
        withLock({ redlock, key: KEY, onConflict: () => given as "delay" }, async () => "ran"),
      );
      const done = ends(worker, 1);

      await queue.add("charge", { account: "a" });

      expect((await done)[0]!.error).toMatchObject({
        code: "ERR_REDLOCK_CONFIG",
        message: expect.stringContaining(
          'one of "delay", "wait", "skip", "fail", "keepLatest"',
        ) as string,
      });
    },
  );
});

describe("a job whose own earlier run still holds the key", () => {
  test.each(["skip", "fail"] as const)("is parked under %s, and runs later", async (policy) => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const started = new Gate();
    const parked = next(redlock, "parked");
    let runs = 0;
    const processor = withLock(
      { redlock, key: KEY, onConflict: policy },
      async (_job: Job<Data>): Promise<unknown> => {
        runs += 1;
        if (runs > 1) return "second";
        started.open();
        await parked;
        return "first";
      },
    );
    // Without renewal BullMQ finds the job stalled while it still runs, as after a blocked event loop.
    const worker = bench.worker(processor, {
      lockDuration: 300,
      stalledInterval: 200,
      skipLockRenewal: true,
      concurrency: 2,
    });
    const done = ends(worker, 1);

    const job = await queue.add("charge", { account: "a" });
    await started.opened;

    expect(await parked).toMatchObject({ reason: "conflict", job: `bull:invoices:${job.id}` });
    expect(await done).toMatchObject([{ result: "second", job: { attemptsMade: 1 } }]);
    expect(runs).toBe(2);
  });
});

describe("maxWait", () => {
  test("fails a job that has waited for so long, counted over restarts of the worker", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:a");
    const options = { redlock, key: KEY, maxWait: 600 } as const;
    const first = bench.worker(withLock(options, async () => "ran"));
    const parked = next(redlock, "parked");
    const startedAt = performance.now();
    const job = await queue.add("charge", { account: "a" }, { priority: 4 });
    await parked;
    await first.close();

    const second = bench.worker(withLock(options, async () => "ran"));
    const [end] = await ends(second, 1);

    const waited = performance.now() - startedAt;
    expect(end!.error).toMatchObject({ code: "ERR_REDLOCK_CONFLICT" });
    expect(waited).toBeGreaterThanOrEqual(590);
    expect(waited).toBeLessThan(1_500);
    const stored = await queue.getJob(job.id!);
    expect(stored).toMatchObject({ data: { account: "a" }, progress: 0, priority: 4 });
    expect(stored!.returnvalue).toBeNull();
  });

  test('skips the job when onMaxWait is "skip"', async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:a", { holder: "the operator" });
    const worker = bench.worker(
      withLock({ redlock, key: KEY, maxWait: 200, onMaxWait: "skip" }, async () => "ran"),
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });

    expect((await done)[0]!.result).toEqual({
      skipped: true,
      reason: "max-wait",
      key: "account:a",
      holder: "the operator",
    });
  });

  test("begins anew for a job that was retried by hand", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:a");
    const worker = bench.worker(withLock({ redlock, key: KEY, maxWait: 200 }, async () => "ran"));
    const failed = ends(worker, 1);
    const { id } = await queue.add("charge", { account: "a" });
    await failed;
    const parked = next(redlock, "parked");
    const failedAgain = ends(worker, 1);
    const startedAt = performance.now();

    await (await queue.getJob(id!))!.retry("failed", { resetAttemptsMade: true });

    await parked;
    await failedAgain;
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(190);
  });
});

describe("jobLogs", () => {
  test('"off" writes nothing, "all" writes when a job acquired and released its lock', async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:taken");
    for (const jobLogs of ["off", "all"] as const) {
      const worker = bench.worker(
        withLock({ redlock, key: KEY, jobLogs, onConflict: "skip" }, async () => "ran"),
      );
      const done = ends(worker, 2);
      const skipped = await queue.add("charge", { account: "taken" });
      const ran = await queue.add("charge", { account: "free" });
      await done;
      const lines = [
        (await queue.getJobLogs(skipped.id!)).logs.length,
        (await queue.getJobLogs(ran.id!)).logs,
      ];
      expect(lines).toEqual(
        jobLogs === "off"
          ? [0, []]
          : [
              1,
              [
                expect.stringMatching(/^\[lock\] acquired "account:free" with fencing token \d+$/),
                expect.stringMatching(/^\[lock\] released "account:free" with fencing token \d+$/),
              ],
            ],
      );
      await worker.close();
    }
  });
});
