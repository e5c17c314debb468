import { type Job, Queue } from "bullmq";
import { Queue as Queue5, Worker as Worker5 } from "bullmq5";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Redlock, withLock } from "../../src/index.ts";
import type { JobWorker } from "../../src/bullmq/bullmq-job.ts";
import type { JobLocks } from "../../src/bullmq/job-locks.ts";
import { checkLockOptions } from "../../src/bullmq/lock-settings.ts";
import type { LockPolicies } from "../../src/bullmq/options.ts";
import { CrowdParker } from "../../src/bullmq/park-crowd.ts";
import { parkUnstarted } from "../../src/bullmq/park-script.ts";
import { runWake } from "../../src/bullmq/wake-script.ts";
import { AHEAD, formatWaiterRecord, positionOf } from "../../src/waiters/waiter.ts";
import { makeQueueId } from "../../src/bullmq/queue-id.ts";
import { redisClient } from "../support/redis.ts";
import { useBench } from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const bench = useBench();
const TTL = 5_000;
/** As many others wait for a crowded key. */
const CROWD = 12;
const BACKLOG = 60;
const KEY = "{{data.key}}";

interface Data {
  readonly key: string;
  readonly index: number;
}

/** After all other waiters, in ms since 1970. */
const LATER = 9_000_000_000_000;

let queues = 0;

/** Makes a key held and crowded. */
async function crowd(): Promise<{ release: () => Promise<unknown> }> {
  const others = bench.redlock({ ttl: TTL });
  const lock = await others.acquire("hot");
  const waiting = Array.from({ length: CROWD }, async () => {
    await (await others.acquire("hot", { waitTimeout: 60_000 })).release();
  });
  const release = async (): Promise<void> => {
    await lock.release();
    await Promise.all(waiting);
  };
  onTestFinished(release);
  await waitFor(async () => expect((await others.inspect("hot")).waiting).toBe(CROWD));
  return { release };
}

describe.each([
  ["BullMQ 6", true, Queue],
  ["BullMQ 5", false, Queue5 as unknown as typeof Queue],
])("in %s", (_, isNew, QueueClass) => {
  test("jobs behind one with a crowded key are parked without a worker, and run in order", async () => {
    const { release } = await crowd();
    const redlock = bench.redlock({ ttl: TTL });
    const events = countEvents(redlock);
    const name = `backlog-${(queues += 1)}`;
    const queue = new QueueClass(name, { connection: { url: bench.queueUrl } });
    onTestFinished(async () => await queue.close());
    const runs: number[] = [];
    const processor = withLock({ redlock, key: KEY }, async ({ data }: Job<Data>) => {
      await Promise.resolve(runs.push(data.index));
    });
    const jobs = await queue.addBulk(
      Array.from({ length: BACKLOG }, (_, index) => ({ name: "a", data: { key: "hot", index } })),
    );
    const own = await queue.add("a", { key: "own", index: BACKLOG });
    let active = 0;
    const options = { concurrency: 2, name };
    const worker = isNew
      ? bench.worker(processor, options)
      : new Worker5(name, processor as never, { ...options, connection: { url: bench.queueUrl } });
    onTestFinished(async () => await worker.close());
    (worker as { on(event: "active", listener: () => void): unknown }).on("active", () => {
      active += 1;
    });

    await waitFor(async () => expect(await queue.getDelayedCount()).toBe(BACKLOG));
    await waitFor(() => expect(runs).toEqual([BACKLOG]));
    expect(active).toBeLessThan(BACKLOG);
    await waitFor(async () => expect(await own.getState()).toBe("completed"));
    const last = await queue.getJob(jobs.at(-1)!.id!);
    expect(last).toMatchObject({ attemptsStarted: 1, attemptsMade: 0 });
    expect(last?.processedOn).toBeUndefined();
    expect(last?.delay).toBeGreaterThan(0);
    const { logs } = await queue.getJobLogs(last!.id!);
    expect(logs).toEqual([expect.stringMatching(/^\[lock\] .*hot.*; parked$/)]);
    expect(events.parked).toBe(BACKLOG);
    // A job that a worker takes up while it is being parked shows its conflict twice.
    expect(events.conflict).toBeGreaterThanOrEqual(BACKLOG);

    await release();
    await waitFor(() => expect(runs).toHaveLength(BACKLOG + 1), { timeout: 20_000 });
    expect(runs.slice(1)).toEqual(Array.from({ length: BACKLOG }, (_, index) => index));
    expect((await queue.getJob(last!.id!))?.attemptsStarted).toBe(2);
  });
});

function countEvents(redlock: Redlock): { conflict: number; parked: number } {
  const counts = { conflict: 0, parked: 0 };
  redlock.on("conflict", ({ keys }) => (counts.conflict += keys.includes("hot") ? 1 : 0));
  redlock.on("parked", ({ reason }) => (counts.parked += reason === "conflict" ? 1 : 0));
  return counts;
}

/** Looks once at the jobs of a queue without a running worker. */
async function look(
  queue: Queue,
  policies: Partial<LockPolicies<Job>> = {},
  locks: Partial<JobLocks> = {},
): Promise<void> {
  const redlock = bench.redlock({ ttl: TTL });
  const settings = checkLockOptions({ redlock, key: KEY, ...policies });
  const { engine } = settings;
  const worker = queue as unknown as JobWorker;
  const { id: queueId } = await makeQueueId(worker, undefined);
  const ids = Array.from({ length: CROWD }, (_, index) => `other-${index}`);
  await Promise.all(
    ids.map(async (id) => {
      const position = positionOf(LATER, queueId, id);
      const waiter = { position, priority: 0, queueId, run: 1, replaceable: false };
      await engine.waitLists.joinCrowd(waiter, "hot", undefined);
    }),
  );
  const job = await queue.add("first", { key: "hot" }, { delay: 60_000 });
  const all = { settingsOf: () => settings, coverAll: () => true, ...locks };
  const { signal } = new AbortController();
  new CrowdParker(worker).start({ engine, locks: all, job, queueId, closing: signal });
  await redlock.close();
}

async function open(): Promise<Queue> {
  await crowd();
  return bench.queue(`parker-${(queues += 1)}`);
}

describe("the parker alone", () => {
  test("leaves jobs of other keys, without a key, and with a wrong one", async () => {
    const queue = await open();
    const data = [{ key: "hot" }, { key: "own" }, {}, { key: { wrong: 1 } }, { key: "hot" }];
    const jobs = await queue.addBulk(data.map((each) => ({ name: "a", data: each })));
    await look(queue);
    expect(await Promise.all(jobs.map(async (job) => await job.getState()))).toEqual([
      "delayed",
      "waiting",
      "waiting",
      "waiting",
      "delayed",
    ]);
  });

  test("leaves a job of a scheduler, which adds the next one when it is taken up", async () => {
    const queue = await open();
    const template = { name: "a", data: { key: "hot" } };
    const job = await queue.upsertJobScheduler("daily", { every: 86_400_000 }, template);
    if ((await job?.getState()) === "delayed") await job?.promote();
    await look(queue);
    expect(await job?.getState()).toBe("waiting");
  });

  test("leaves a job that was taken up before", async () => {
    const queue = await open();
    const job = await queue.add("a", { key: "hot" }, { attempts: 2 });
    const worker = bench.worker(() => Promise.resolve(), { name: queue.name, autorun: false });
    await (await worker.getNextJob("token"))?.moveToFailed(new Error("once"), "token");
    await look(queue);
    expect(await job.getState()).toBe("waiting");
  });

  test.each<[string, Partial<LockPolicies<Job>>]>([
    ["under another policy", { onConflict: "skip" }],
    ["under strict order", { order: "strict" }],
    ["with kept retries", { retryOrder: "keep" }],
    ["that is too old to start", { maxAge: 1 }],
  ])("leaves a job %s", async (_, policies) => {
    const queue = await open();
    const job = await queue.add("a", { key: "hot" }, { timestamp: Date.now() - 1_000 });
    await look(queue, policies);
    expect(await job.getState()).toBe("waiting");
  });

  test("leaves all jobs of a worker whose processor calls several wrapped ones", async () => {
    const queue = await open();
    const job = await queue.add("a", { key: "hot" });
    await look(queue, {}, { coverAll: () => false });
    expect(await job.getState()).toBe("waiting");
  });

  test("delays a job for no longer than it may wait", async () => {
    const queue = await open();
    const job = await queue.add("a", { key: "hot" });
    await look(queue, { maxWait: 70 });
    expect((await queue.getJob(job.id!))?.delay).toBe(70);
  });
});

describe("the script", () => {
  const FIELD = JSON.stringify({ since: 1, run: 1, keys: ["hot"] });

  function setUp() {
    const queue = bench.queue(`script-${(queues += 1)}`);
    const worker = queue as unknown as JobWorker;
    const park = async (...jobs: readonly Job[]) => {
      const parkings = jobs.map(({ id = "", timestamp }) => ({
        id,
        timestamp,
        delay: 60_000,
        field: FIELD,
        log: "",
      }));
      return [...(await parkUnstarted(worker, parkings, Date.now()))];
    };
    return { queue, worker, park };
  }

  test("moves jobs that wait, and tells the workers when the first of them comes back", async () => {
    const { queue, park } = setUp();
    const jobs = await queue.addBulk([1, 2].map((n) => ({ name: `${n}`, data: {} })));
    expect(await park(...jobs)).toEqual(jobs.map(({ id }) => id));
    expect(await queue.getDelayedCount()).toBe(2);
    const redis = redisClient(bench.queueUrl);
    const [, at] = await redis.zrange(queue.toKey("marker"), "-1", "-1", "WITHSCORES");
    expect(Math.abs(Number(at) - Date.now() - 60_000)).toBeLessThan(5_000);
    expect(await park(...jobs)).toEqual([]);
  });

  test("leaves a job that was removed, or that has the id of another", async () => {
    const { queue, park } = setUp();
    const job = await queue.add("a", {}, { jobId: "one", timestamp: 1_000 });
    await job.remove();
    expect(await park(job)).toEqual([]);
    expect(await queue.getJob("one")).toBeUndefined();
    const later = await queue.add("a", {}, { jobId: "one", timestamp: 2_000 });
    expect(await park(job)).toEqual([]);
    expect(await later.getState()).toBe("waiting");
  });

  test("leaves a job that a worker has taken up since, and that waits again", async () => {
    const { queue, park } = setUp();
    const job = await queue.add("a", {}, { attempts: 2 });
    const worker = bench.worker(() => Promise.resolve(), { name: queue.name, autorun: false });
    await (await worker.getNextJob("token"))?.moveToFailed(new Error("once"), "token");
    expect(await park(job)).toEqual([]);
    expect(await job.getState()).toBe("waiting");
  });

  test("leaves a job that was woken before: it is the first of its queue", async () => {
    const { queue, worker, park } = setUp();
    const [first, job] = await queue.addBulk([1, 2].map((n) => ({ name: `${n}`, data: {} })));
    const position = positionOf(job!.timestamp, "q", job!.id!);
    const parts = { state: "parked", replaceable: false, run: 1, limit: 1, process: "p" } as const;
    const record = formatWaiterRecord(parts, AHEAD);
    expect(await runWake(worker, { position, priority: 0, record })).toBe("woken");
    expect(await park(first!, job!)).toEqual([first!.id]);
    expect(await job!.getState()).toBe("waiting");
  });
});
