import { Queue, type Job, type WorkerOptions } from "bullmq";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import type { LockPolicies, Redlock } from "../../src/index.ts";
import { LockedWorker } from "../../src/worker.ts";
import { ends, next, useBench } from "./support.ts";

const FILE = new URL("programs/sandboxed.mjs", import.meta.url);
const KEY = "account:{{data.account}}";

interface Data {
  account: string;
  does: string;
  room?: string | number;
}

/** What the file reports about itself. */
interface Report {
  pid: number;
  threadId: number;
  lock: { keys: string[]; fencingToken: number };
}

const bench = useBench();

function start(
  redlock: Redlock,
  options: Partial<WorkerOptions> = {},
  policies: Partial<LockPolicies<Job>> = {},
): LockedWorker<Data> {
  const worker = new LockedWorker<Data>("invoices", FILE, {
    connection: { url: bench.queueUrl },
    lock: { redlock, key: KEY, ...policies },
    ...options,
  });
  worker.on("error", (error) => errors.push(error));
  const errors: Error[] = [];
  onTestFinished(async () => {
    await worker.close();
    expect(errors).toEqual([]);
  });
  return worker;
}

/** Resolves with the next report of the file: it is at work, and listens to its signal. */
function nextReport(worker: LockedWorker<Data>): Promise<Report> {
  return new Promise((resolve) => {
    worker.once("progress", (_job, progress) => resolve(progress as unknown as Report));
  });
}

async function makeRoom(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "room-"));
  onTestFinished(async () => await rm(folder, { recursive: true }));
  return join(folder, "room");
}

describe.each([
  { kind: "child processes", useWorkerThreads: false },
  { kind: "threads", useWorkerThreads: true },
])("a processor in a file, run in $kind,", ({ useWorkerThreads }) => {
  test("runs the jobs of one key one at a time, once, and knows its fencing token", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const room = await makeRoom();
    const options = { useWorkerThreads, concurrency: 2 };
    const workers = [start(redlock, options), start(redlock, options)];
    const conflict = next(redlock, "conflict");
    const jobs: Job[] = [];
    const done = new Promise<void>((resolve) => {
      for (const worker of workers) {
        worker.on("completed", (job) => {
          if (jobs.push(job) === 5) resolve();
        });
        worker.on("failed", (job) => {
          jobs.push(job!);
          resolve();
        });
      }
    });

    await queue.addBulk(
      Array.from({ length: 5 }, () => ({
        name: "charge",
        data: { account: "a", does: "visit", room },
      })),
    );

    await done;
    await conflict;
    expect(jobs.map(({ failedReason }) => failedReason)).toEqual(Array(5).fill(undefined));
    expect(jobs.map(({ attemptsMade }) => attemptsMade)).toEqual(Array(5).fill(1));
    const locks = jobs.map(({ returnvalue }) => returnvalue as Report["lock"]);
    expect(locks.flatMap(({ keys }) => keys)).toEqual(Array(5).fill("account:a"));
    const tokens = locks.map(({ fencingToken }) => fencingToken);
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
    expect(new Set(tokens).size).toBe(5);
  });

  test("is not in the process of the worker, and gets BullMQ's token", async () => {
    const queue = bench.queue();
    const worker = start(bench.redlock(), { useWorkerThreads });
    const there = nextReport(worker);
    const done = ends(worker, 1);

    const { id } = await queue.add("charge", { account: "a", does: "token" });

    const { pid, threadId } = await there;
    expect([pid === process.pid, threadId > 0]).toEqual([useWorkerThreads, useWorkerThreads]);
    expect((await done)[0]!.result).toMatch(new RegExp(`^${worker.id}:`));
    expect(await queue.getJob(id!)).toMatchObject({ data: { account: "a", does: "token" } });
  });

  test("gets the reason when the job is cancelled", async () => {
    const queue = bench.queue();
    const worker = start(bench.redlock(), { useWorkerThreads });
    const there = nextReport(worker);
    const done = ends(worker, 1);
    const { id } = await queue.add("charge", { account: "a", does: "waitForAbort" });
    await there;

    worker.cancelJob(id!, "not needed any more");

    expect(await done).toMatchObject([{ result: { reason: "not needed any more" } }]);
  });

  test("gets the loss of its lock, is delayed without an attempt, and runs again", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const worker = start(redlock, { useWorkerThreads });
    const there = nextReport(worker);
    const parked = next(redlock, "parked");
    const done = ends(worker, 1);
    await queue.add("charge", { account: "a", does: "waitOnce" });
    await there;

    bench.freeze();
    const { reason } = await parked;
    bench.thaw();

    expect(reason).toBe("lost");
    expect(await done).toMatchObject([{ result: "second", job: { attemptsMade: 1 } }]);
  });

  test("recognises a loss by its code, and throws it as the LockLostError", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const worker = start(redlock, { useWorkerThreads }, { onLost: "continue" });
    const there = nextReport(worker);
    const done = ends(worker, 2);
    await queue.add("charge", { account: "a", does: "waitForAbort" });
    await there;
    const thereAgain = nextReport(worker);
    bench.freeze();
    await next(redlock, "lost");
    bench.thaw();
    await queue.add("charge", { account: "b", does: "throwReason" });
    await thereAgain;
    bench.freeze();

    const [first, second] = await done;

    expect(first!.result).toEqual({
      reason: expect.stringMatching(
        /^ERR_REDLOCK_LOST: the lock on "account:a" was lost/,
      ) as string,
    });
    expect(second!.error).toMatchObject({ code: "ERR_REDLOCK_LOST", keys: ["account:b"] });
  });

  test("keeps its lock while it works without a break for longer than the ttl", async () => {
    const redlock = bench.redlock({ ttl: 500, nodeTimeout: 100 });
    const queue = bench.queue();
    const worker = start(redlock, { useWorkerThreads });
    const there = nextReport(worker);
    const done = ends(worker, 1);
    await queue.add("charge", { account: "a", does: "block", room: 1_200 });
    const { lock } = await there;
    await next(redlock, "extended");
    await next(redlock, "extended");

    expect(await redlock.tryAcquire("account:a")).toBeNull();
    expect(await done).toMatchObject([{ result: "blocked", job: { attemptsMade: 1 } }]);
    const after = await redlock.acquire("account:a");
    expect(after.fencingToken).toBeGreaterThan(lock.fencingToken);
  });

  test("releases its lock when it dies, an attempt is used, and the next job runs", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const worker = start(redlock, { useWorkerThreads });
    const released = next(redlock, "released");
    const done = ends(worker, 2);
    if (useWorkerThreads) {
      await queue.add("charge", { account: "a", does: "exit" });
    } else {
      const there = nextReport(worker);
      await queue.add("charge", { account: "a", does: "waitForAbort" });
      process.kill((await there).pid, "SIGKILL");
    }
    await queue.add("charge", { account: "a", does: "token" });

    const [first, second] = await done;

    expect(first!.error!.message).toMatch(/^Unexpected exit code/);
    expect(await released).toMatchObject({ keys: ["account:a"], outcome: "released" });
    expect(second).toMatchObject({ job: { attemptsMade: 1 } });
    expect(second!.result).toMatch(new RegExp(`^${worker.id}:`));
  });

  test("steers BullMQ by the names of its errors", async () => {
    const queue = bench.queue();
    const worker = start(bench.redlock(), { useWorkerThreads });
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a", does: "giveUp" }, { attempts: 3 });

    expect(await done).toMatchObject([
      { error: { message: "never again" }, job: { attemptsMade: 1 } },
    ]);
  });

  test("is not called at all for a job that is skipped", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    await redlock.acquire("account:a");
    const worker = start(redlock, { useWorkerThreads }, { onConflict: "skip" });
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a", does: "exit" });

    expect(await done).toMatchObject([{ result: { skipped: true, key: "account:a" } }]);
  });

  test("gets no lock for a job without a key", async () => {
    const queue = bench.queue();
    const worker = start(bench.redlock(), { useWorkerThreads }, { key: () => null } as object);
    const there = nextReport(worker);

    await queue.add("charge", { account: "a", does: "token" });

    expect((await there).lock).toEqual({ keys: [], fencingToken: 0 });
  });
});

test("a path is as good as a URL", async () => {
  const queue = bench.queue();
  const worker = new LockedWorker<Data>("invoices", fileURLToPath(FILE), {
    connection: { url: bench.queueUrl },
    lock: { redlock: bench.redlock(), key: KEY },
  });
  onTestFinished(async () => await worker.close());
  const done = ends(worker, 1);

  await queue.add("charge", { account: "a", does: "token" });

  expect(await done).toMatchObject([{ job: { attemptsMade: 1 } }]);
});

test("a function is wrapped by withLock", async () => {
  const queue = new Queue<Data>("invoices", { connection: { url: bench.queueUrl } });
  onTestFinished(async () => await queue.close());
  const worker = new LockedWorker(
    "invoices",
    async (job: Job<Data>, _jobToken, signal, lock) =>
      await Promise.resolve({ keys: lock.keys, aborted: signal.aborted, does: job.data.does }),
    {
      connection: { url: bench.queueUrl },
      lock: { redlock: bench.redlock(), key: "account:{{data.account}}" },
    },
  );
  onTestFinished(async () => await worker.close());
  const done = ends(worker, 1);

  await queue.add("charge", { account: "a", does: "this" });

  expect((await done)[0]!.result).toEqual({ keys: ["account:a"], aborted: false, does: "this" });
});

function make(processor: unknown, options: unknown): () => unknown {
  return () => new LockedWorker("invoices", processor as URL, options as never);
}

test("an option that cannot work is refused before there is a worker, with its path", () => {
  const redlock = bench.redlock();
  const connection = { url: bench.queueUrl };

  expect(make(FILE, undefined)).toThrow("options: found nothing, expected the options of a Worker");
  expect(make(FILE, { connection })).toThrow("lock: found nothing, expected an object of options");
  expect(make(FILE, { connection, lock: { redlock, key: KEY, onLosst: "fail" } })).toThrow(
    'lock.onLosst: found an unknown option, expected "onLost"?',
  );
  expect(make(null, { connection, lock: { redlock, key: KEY } })).toThrow(
    "processor: found null, expected the path or URL of a file, or a function",
  );
});
