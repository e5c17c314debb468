import { DelayedError, UnrecoverableError, type Job, type Worker } from "bullmq";
import { describe, expect, onTestFinished, test } from "vitest";
import { type LockLostError, type Redlock, withLock } from "../../src/index.ts";
import { redisClient } from "../support/redis.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { waitFor } from "../support/wait-for.ts";
import { aborted, ends, errorsOf, Gate, next, QUEUE, useBench } from "./support.ts";

interface Data {
  account: string;
}

const bench = useBench();
const KEY = "account:{{data.account}}";

/** Gives the key to another holder on two of three masters, without the present holder's knowledge. */
async function steal(): Promise<void> {
  await setOnTwo("somebody else");
}

async function giveBack(): Promise<void> {
  await setOnTwo(undefined);
}

async function setOnTwo(value: string | undefined): Promise<void> {
  for (const url of bench.masterUrls.slice(0, 2)) {
    const client = redisClient(url);
    await (value === undefined
      ? client.del("redlock:account:a")
      : client.set("redlock:account:a", value));
  }
}

async function dropJobLock(job: Job): Promise<void> {
  await redisClient(bench.queueUrl).del(`bull:invoices:${job.id}:lock`);
}

/** A processor that loses its lock each time, and settles when its signal has aborted. */
function loser(
  redlock: Redlock,
  options: { onLost?: "delay" | "fail" | "continue" } = {},
  settle: (signal: AbortSignal) => unknown = () => "returned all the same",
): ReturnType<typeof withLock> {
  return withLock({ redlock, key: KEY, ...options }, async (_job: Job, _token, signal) => {
    await steal();
    await aborted(signal);
    await giveBack();
    return settle(signal);
  });
}

describe("a job that lost its lock", () => {
  test("finds the lock's own signal aborted when the processor's aborts", async () => {
    const redlock = bench.redlock();
    const seen: unknown[] = [];
    const worker = bench.worker(
      withLock(
        { redlock, key: KEY, onLost: "continue" },
        async (_job: Job, _token, signal, lock) => {
          const own = lock.signal;
          signal.addEventListener("abort", () => seen.push(own.aborted, own.reason, lock.held));
          await steal();
          await aborted(signal);
          await giveBack();
          return signal.reason === own.reason;
        },
      ),
    );
    const done = ends(worker, 1);
    await bench.queue().add("charge", { account: "a" });
    expect((await done)[0]).toMatchObject({ result: true });
    expect(seen).toEqual([true, expect.objectContaining({ reason: "taken" }), false]);
  });

  test("is aborted by its signal, delayed without an attempt, and runs again", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const reasons: unknown[] = [];
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async (_job: Job<Data>, _token, signal) => {
        if (reasons.length > 0) return "second";
        await steal();
        reasons.push(await aborted(signal));
        await giveBack();
        return "first";
      }),
    );
    const parked = next(redlock, "parked");
    const done = ends(worker, 1);

    const { id } = await queue.add("charge", { account: "a" });

    expect(await parked).toMatchObject({ reason: "lost", keys: ["account:a"] });
    expect((await done)[0]).toMatchObject({ result: "second", job: { attemptsMade: 1 } });
    expect(reasons[0]).toMatchObject({ code: "ERR_REDLOCK_LOST", reason: "taken" });
    const job = await queue.getJob(id!);
    expect(job!.stacktrace).toEqual([
      expect.stringMatching(/^LockLostError: .*delayed without using an attempt$/s),
    ]);
    expect((await queue.getJobLogs(id!)).logs[0]).toMatch(
      /^\[lock\] the lock on .* delayed without using an attempt/,
    );
    expect(errorsOf(worker)).toEqual([]);
  });

  test("keeps what it still has of its key until the processor has settled", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const third = redisClient(bench.masterUrls[2]!);
    const heard = new Gate();
    const mayEnd = new Gate();
    bench.worker(
      withLock({ redlock, key: KEY }, async (_job: Job<Data>, _token, signal) => {
        await steal();
        await aborted(signal);
        heard.open();
        await mayEnd.opened;
      }),
    );
    await queue.add("charge", { account: "a" });
    await heard.opened;
    const released = next(redlock, "released");

    expect(await third.get("redlock:account:a")).toContain("bull:invoices:");
    mayEnd.open();
    await released;
    await expect.poll(async () => await third.get("redlock:account:a")).toBeNull();
  });

  test("is delayed at most three times in a row, then fails with the LockLostError", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    let runs = 0;
    const worker = bench.worker(loser(redlock, {}, () => (runs += 1)));
    const runsAtFailure: number[] = [];
    worker.on("failed", () => runsAtFailure.push(runs));
    const done = ends(worker, 1);

    const { id } = await queue.add("charge", { account: "a" }, { attempts: 2, stackTraceLimit: 1 });

    expect((await done)[0]!.error).toMatchObject({ code: "ERR_REDLOCK_LOST" });
    expect(runsAtFailure).toEqual([4, 8]);
    expect(await queue.getJob(id!)).toMatchObject({ attemptsMade: 2 });
  });

  test('fails at once under "fail", with the error of the processor as the cause', async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const own = new Error("broken off");
    const worker = bench.worker(
      loser(redlock, { onLost: "fail" }, () => {
        throw own;
      }),
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });

    const [end] = await done;
    expect(end!.job.attemptsMade).toBe(1);
    expect(end!.error).toMatchObject({ code: "ERR_REDLOCK_LOST", cause: own });
  });

  test("has no cause of its own when the processor threw the reason of its signal", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const worker = bench.worker(
      loser(redlock, { onLost: "fail" }, (signal) => signal.throwIfAborted()),
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });

    const error = (await done)[0]!.error as LockLostError;
    expect(error.code).toBe("ERR_REDLOCK_LOST");
    expect(error.cause).toBeUndefined();
  });

  test('counts as done under "continue", or fails with its own error', async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const own = new Error("its own");
    let runs = 0;
    const worker = bench.worker(
      loser(redlock, { onLost: "continue" }, () => {
        runs += 1;
        if (runs === 2) throw own;
        return "all the same";
      }),
    );
    const done = ends(worker, 2);

    await queue.add("charge", { account: "a" });
    await queue.add("charge", { account: "a" });

    expect(await done).toMatchObject([{ result: "all the same" }, { error: own }]);
  });

  test("still steers itself: its own DelayedError passes", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    let runs = 0;
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async (job: Job<Data>, token, signal) => {
        if (++runs === 2) return "second";
        await steal();
        await aborted(signal);
        await giveBack();
        await job.moveToDelayed(Date.now(), token);
        throw new DelayedError();
      }),
    );
    const done = ends(worker, 1);

    const { id } = await queue.add("charge", { account: "a" });

    expect(await done).toMatchObject([{ result: "second" }]);
    expect((await queue.getJob(id!))!.stacktrace).toEqual([]);
    expect(errorsOf(worker)).toEqual([]);
  });

  test("still ends for good when it says so", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const own = new UnrecoverableError("never again");
    const worker = bench.worker(
      loser(redlock, {}, () => {
        throw own;
      }),
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" }, { attempts: 3 });

    expect(await done).toMatchObject([{ error: own, job: { attemptsStarted: 1 } }]);
  });

  test("is aborted, and delayed, when the Redlock is closed while it runs", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const started = new Gate();
    const heard = new Gate<unknown>();
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async (_job: Job<Data>, _token, signal) => {
        started.open();
        heard.open(await aborted(signal));
      }),
    );
    const { id } = await queue.add("charge", { account: "a" });
    await started.opened;
    const parked = next(redlock, "parked");

    await redlock.close();

    expect(await heard.opened).toMatchObject({ code: "ERR_REDLOCK_LOST", reason: "closed" });
    expect(await parked).toMatchObject({ reason: "lost" });
    await worker.close();
    expect((await queue.getJob(id!))!.attemptsMade).toBe(0);
  });
});

describe("BullMQ's own lock of the job", () => {
  const SHORT = { lockDuration: 600, stalledInterval: 300 };

  test("is renewed while the job runs, also when BullMQ has forgotten the job", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    let runs = 0;
    const worker: Worker = bench.worker(
      withLock({ redlock, key: KEY }, async (job: Job<Data>) => {
        runs += 1;
        // As when the job comes back before the worker has finished its last activation.
        const { lockManager } = worker as unknown as {
          lockManager: { untrackJob(id: string): void };
        };
        lockManager.untrackJob(job.id!);
        await new Promise((resolve) => setTimeout(resolve, 4 * SHORT.lockDuration));
        return "ran";
      }),
      { ...SHORT, concurrency: 2 },
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });

    expect(await done).toMatchObject([{ result: "ran", job: { attemptsStarted: 1 } }]);
    expect(runs).toBe(1);
    expect(errorsOf(worker)).toEqual([]);
  });

  test("aborts the signal when it is lost, and the job is left to its next worker", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const heard: unknown[] = [];
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async (job: Job<Data>, _token, signal) => {
        if (heard.length > 0) return "second";
        await dropJobLock(job);
        heard.push(await aborted(signal));
        return "first";
      }),
      SHORT,
    );
    const lost = next(redlock, "lost");
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });

    expect(await done).toMatchObject([{ result: "second", job: { attemptsMade: 1 } }]);
    expect(heard).toMatchObject([{ code: "ERR_REDLOCK_LOST", reason: "job-lock-lost" }]);
    expect(await lost).toMatchObject({ keys: ["account:a"], error: heard[0] });
  });

  test("aborts the signal of a job without a key too", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const heard: unknown[] = [];
    const worker = bench.worker(
      withLock({ redlock, key: () => null }, async (job: Job<Data>, _token, signal) => {
        if (heard.length > 0) return "second";
        await dropJobLock(job);
        heard.push(await aborted(signal));
        throw new Error("broken off");
      }),
      SHORT,
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });

    expect(await done).toMatchObject([{ result: "second", job: { attemptsMade: 1 } }]);
    expect((heard[0] as Error).message).toMatch(/^the job was lost after/);
  });

  test("is missing for a job that moved itself: that is no loss if the job says so", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    let runs = 0;
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async (job: Job<Data>, token, signal, lock) => {
        if (++runs === 2) return "second";
        await job.moveToDelayed(Date.now() + 500, token);
        await aborted(signal);
        expect(lock.held).toBe(true);
        throw new DelayedError();
      }),
      SHORT,
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });

    expect(await done).toMatchObject([{ result: "second", job: { attemptsMade: 1 } }]);
  });

  test("is not renewed when the worker skips renewal", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    let left = Infinity;
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async (job: Job<Data>) => {
        // Longer than the pause before the first renewal, and much shorter than the lock, on a busy machine too.
        await new Promise((resolve) => setTimeout(resolve, 2_500));
        left = await redisClient(bench.queueUrl).pttl(`bull:invoices:${job.id}:lock`);
      }),
      { lockDuration: 6_000, skipLockRenewal: true },
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });
    await done;

    expect(left).toBeLessThanOrEqual(3_500);
  });
});

/** Blocks the process. */
function block(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until;);
}

describe("beside one that blocks the process beyond the ttl", () => {
  test("no job begins under a lock that has ended", async () => {
    const redlock = bench.redlock({ ttl: 600 });
    const held: boolean[] = [];
    const attempts: number[] = [];
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async (job: Job<Data>, _token, _signal, lock) => {
        held.push(lock.held);
        attempts.push(job.attemptsMade);
        if (held.length === 1) block(800);
        await Promise.resolve();
      }),
      { concurrency: 6, autorun: false },
    );
    const ended = ends(worker, 6);
    const accounts = ["a", "b", "c", "d", "e", "f"];
    const jobs = accounts.map((account) => ({ name: "j", data: { account } }));
    await bench.queue().addBulk(jobs);
    void worker.run();
    await ended;

    expect(held.length).toBeGreaterThanOrEqual(6);
    expect(held).not.toContain(false);
    expect(new Set(attempts)).toEqual(new Set([0]));
  });

  test("no routine begins under a lock that has ended", async () => {
    const redlock = bench.redlock({ ttl: 600 });
    const held: boolean[] = [];
    const runs = ["a", "b", "c", "d"].map((key) =>
      redlock.using(key, (lock) => {
        held.push(lock.held);
        if (held.length === 1) block(800);
      }),
    );
    const outcomes = await Promise.allSettled(runs);

    expect(held).toEqual([true, true, true, true]);
    // The first one has lost its lock.
    expect(outcomes.filter(({ status }) => status === "rejected")).toHaveLength(1);
  });
});

test("a job does not begin that reaches its worker after BullMQ's lock has ended", async () => {
  const redlock = bench.redlock();
  const proxy = await TcpProxy.start(Number(new URL(bench.queueUrl).port));
  onTestFinished(async () => await proxy.stop());
  const started: number[] = [];
  const processor = async ({ stalledCounter }: Job): Promise<void> => {
    await Promise.resolve(started.push(stalledCounter));
  };
  const worker = bench.worker(withLock({ redlock, key: KEY }, processor), {
    connection: { url: proxy.url },
    autorun: false,
    lockDuration: 400,
    stalledInterval: 300,
    maxStalledCount: 2,
  });
  const done = ends(worker, 1);
  await worker.waitUntilReady();
  const queue = bench.queue();
  const job = await queue.add("charge", { account: "a" });
  proxy.replies.hold();
  void worker.run();
  await waitFor(async () => expect(await job.getState()).toBe("active"));
  const ended = async () =>
    await redisClient(bench.queueUrl).exists(`bull:${QUEUE}:${job.id}:lock`);
  await waitFor(async () => expect(await ended()).toBe(0));
  proxy.replies.pass();
  await done;

  // On a busy machine the lock may end once more.
  expect(started).not.toContain(0);
});

test("a job that blocks the event loop beyond its ttl shows it in log and failure", async () => {
  const redlock = bench.redlock({ ttl: 400, nodeTimeout: 100 });
  const queue = bench.queue();
  const worker = bench.worker(
    withLock({ redlock, key: KEY, onLost: "fail" }, async () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
    }),
  );
  const done = ends(worker, 1);

  const job = await queue.add("charge", { account: "a" });

  const said = /the event loop was blocked .*for at least \d+ ms, .*use a larger ttl/;
  expect((await done)[0]!.error).toMatchObject({
    reason: "blocked",
    message: expect.stringMatching(said) as string,
  });
  const { logs } = await queue.getJobLogs(job.id!);
  expect(logs.filter((line) => said.test(line))).toHaveLength(1);
});
