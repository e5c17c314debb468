import { describe, expect, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { ends, Gate, next, useBench } from "./support.ts";

const bench = useBench();
const KEY = "account:a";

/** What a job fails with that is too old. */
const TOO_OLD = { name: "UnrecoverableError", code: "ERR_REDLOCK_MAX_AGE" };

describe("maxAge", () => {
  test("fails a job for good that is too old when a worker takes it up", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    let runs = 0;
    const worker = bench.worker(
      withLock({ redlock, key: KEY, maxAge: 5_000 }, async () => (runs += 1)),
    );
    const done = ends(worker, 2);

    await queue.add("charge", {}, { attempts: 3, timestamp: Date.now() - 6_000 });
    await queue.add("charge", {}, { attempts: 3, timestamp: Date.now() - 1_000 });

    const [old, recent] = await done;
    expect(old!.error).toMatchObject(TOO_OLD);
    expect(old!.error!.message).toMatch(/^the job is \d+ ms old, and maxAge is 5000 ms$/);
    expect(old!.job.attemptsMade).toBe(1);
    expect(recent!.result).toBe(1);
    expect(runs).toBe(1);
  });

  test("ends a parked job when it is too old, and names the conflict as the cause", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire(KEY, { holder: "the operator" });
    const worker = bench.worker(withLock({ redlock, key: KEY, maxAge: 600 }, async () => "ran"));
    const done = ends(worker, 1);
    const parked = next(redlock, "parked");
    const startedAt = performance.now();

    const job = await queue.add("charge", {}, { attempts: 3 });

    expect((await parked).delay).toBeLessThanOrEqual(600);
    const [end] = await done;
    expect(end!.error).toMatchObject(TOO_OLD);
    const waited = performance.now() - startedAt;
    expect(waited).toBeGreaterThanOrEqual(590);
    expect(waited).toBeLessThan(3_000);
    const { logs } = await queue.getJobLogs(job.id!);
    expect(logs.at(-1)).toMatch(/^\[lock\] the job is \d+ ms old, and maxAge is 600 ms; failed$/);
    await expect.poll(async () => (await redlock.waiters(KEY).next()).done).toBe(true);
  });

  test.each(["wait", "delay"] as const)(
    'completes a job that waits under "%s" as skipped when onMaxWait is "skip"',
    async (onConflict) => {
      const redlock = bench.redlock();
      const queue = bench.queue();
      await redlock.acquire(KEY, { holder: "the operator" });
      const skipped = next(redlock, "skipped");
      const options = { redlock, key: KEY, onConflict, maxAge: 400, onMaxWait: "skip" } as const;
      const worker = bench.worker(withLock(options, async () => "ran"));
      const done = ends(worker, 1);
      const startedAt = performance.now();

      await queue.add("charge", {});

      const [end] = await done;
      const result = { skipped: true, reason: "max-age", key: KEY };
      expect(end!.result).toMatchObject(result);
      expect(await skipped).toMatchObject({ reason: "max-age", keys: [KEY], queue: "invoices" });
      // In its slot it does not wait for the five seconds of waitTimeout.
      expect(performance.now() - startedAt).toBeLessThan(3_000);
      if (onConflict === "wait") expect(end!.job.attemptsStarted).toBe(1);
    },
  );

  test("counts from the end of the job's own delay", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const worker = bench.worker(withLock({ redlock, key: KEY, maxAge: 5_000 }, async () => "ran"));
    const done = ends(worker, 1);

    await queue.add("charge", {}, { timestamp: Date.now() - 6_000, delay: 6_200 });

    expect((await done)[0]!.result).toBe("ran");
  });

  test("ends a retry that is too old after its backoff", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const failed = new Gate();
    const worker = bench.worker(
      withLock({ redlock, key: KEY, maxAge: 2_000 }, async () => {
        failed.open();
        throw new Error("fails");
      }),
    );
    const done = ends(worker, 1);

    await queue.add("charge", {}, { attempts: 3, backoff: 2_000, timestamp: Date.now() - 1_000 });

    await failed.opened;
    const [end] = await done;
    expect(end!.error).toMatchObject(TOO_OLD);
    expect(end!.job.attemptsMade).toBe(2);
  });
});
