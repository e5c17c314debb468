import { Queue, Worker, type Job, type Processor } from "bullmq";
import { describe, expect, onTestFinished, test } from "vitest";
import { Redlock, type RedlockOptions, withLock } from "../../src/index.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import { Resource } from "./resource.ts";
import type { Order } from "./worker-process.ts";

/** The queue's Redis, the resource's, and three lock masters. */
const nodes = useRedisNodes(5);
const [FIRST, SECOND, THIRD] = [2, 3, 4] as const;
const TTL = 1_000;
const KEY = "entity:{{data.entity}}";

/** Things to work with, closed when the test ends; `process` makes a worker. */
function setUp(options: RedlockOptions = {}) {
  const [queueUrl, resourceUrl, ...masterUrls] = nodes.urls as [string, string, ...string[]];
  const connection = { url: queueUrl };
  const redlock = new Redlock({
    nodes: masterUrls,
    restartGuard: "trust-new",
    ttl: TTL,
    ...options,
  });
  const queue = new Queue<Order>("orders", { connection });
  const resource = new Resource(resourceUrl);
  onTestFinished(async () => {
    await queue.close();
    await redlock.close();
    resource.close();
  });
  const process = (processor: Processor<Order>): Worker<Order> => {
    const worker = new Worker<Order>("orders", processor, { connection, concurrency: 5 });
    // Emitted here are failed connections only, and no test breaks that to the queue.
    worker.on("error", (error) => expect.unreachable(error.message));
    onTestFinished(async () => await worker.close());
    return worker;
  };
  /** A processor that uses the resource. */
  const using = withLock({ redlock, key: KEY }, async (job: Job<Order>, _token, _signal, lock) => {
    await resource.enter(job.data.entity, job.id!, lock.fencingToken);
    await new Promise((resolve) => setTimeout(resolve, job.data.ms));
    await resource.leave(job.data.entity, job.id!);
  });
  return { redlock, queue, resource, process, using };
}

/** Resolves when the worker has completed so many jobs; rejects when one fails. */
function completed(worker: Worker<Order>, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.on("completed", () => {
      if (--count === 0) resolve();
    });
    worker.on("failed", (_job, error) => reject(error));
  });
}

/** Milliseconds for which each master still keeps a key, negative where it is gone. */
async function restOfKey(entity: string): Promise<number[]> {
  const masters = redisClients(nodes).slice(FIRST);
  return await Promise.all(
    masters.map(async (master) => await master.pttl(`redlock:entity:${entity}`)),
  );
}

function orders(count: number, entities: number, ms: number) {
  return Array.from({ length: count }, (_, index) => ({
    name: "order",
    data: { entity: String(index % entities), ms },
  }));
}

describe("one of three masters", () => {
  test.each(["killed", "frozen"] as const)("can be %s in the middle: jobs go on", async (how) => {
    const { queue, resource, process, using } = setUp();
    const worker = process(using);
    const first = completed(worker, 20);
    const all = completed(worker, 200);

    const added = queue.addBulk(orders(200, 20, 5));
    await first;
    if (how === "killed") await nodes.kill(SECOND);
    else nodes.pause(SECOND);
    await all;

    expect(await resource.report()).toEqual({ entries: 200, overlaps: 0, inversions: 0 });
    const jobs = await Promise.all((await added).map(({ id }) => queue.getJob(id!)));
    expect(jobs.every((job) => job!.attemptsMade === 1)).toBe(true);
  });
});

describe("two of three masters frozen", () => {
  test("abort the running job before its key can end, and use no attempt", async () => {
    const { redlock, queue, resource, process } = setUp();
    const aborts: { reason: unknown; rests: number[] }[] = [];
    const worker = process(
      withLock({ redlock, key: KEY }, async (job: Job<Order>, _token, signal, lock) => {
        await resource.enter(job.data.entity, job.id!, lock.fencingToken);
        if (aborts.length === 0) {
          nodes.pause(SECOND);
          nodes.pause(THIRD);
          const reason: unknown = await new Promise((resolve) => {
            signal.addEventListener("abort", () => {
              // The keys go on ageing in a frozen master: had they ended by now, they would be gone.
              nodes.resume(SECOND);
              nodes.resume(THIRD);
              resolve(signal.reason);
            });
          });
          aborts.push({ reason, rests: await restOfKey(job.data.entity) });
          nodes.pause(SECOND);
          nodes.pause(THIRD);
        }
        await resource.leave(job.data.entity, job.id!);
      }),
    );
    const all = completed(worker, 3);
    const delayJob: string[] = [];
    const allPutAside = new Promise<void>((resolve) => {
      redlock.on("parked", ({ job, reason }) => {
        if (reason === "lost") delayJob.length = 0;
        if (reason === "lost" || aborts.length > 0) delayJob.push(`${job} ${reason}`);
        if (new Set(delayJob).size === 4) resolve();
      });
    });

    const added = await queue.addBulk(orders(3, 1, 0));
    await allPutAside;
    const meanwhile = await Promise.all(added.map(({ id }) => queue.getJob(id!)));
    expect(meanwhile.map((job) => job!.attemptsMade)).toEqual([0, 0, 0]);
    nodes.resume(SECOND);
    nodes.resume(THIRD);
    await all;

    expect(aborts).toMatchObject([{ reason: { code: "ERR_REDLOCK_LOST", reason: "expired" } }]);
    expect(aborts[0]!.rests.filter((rest) => rest > 0).length).toBeGreaterThanOrEqual(2);
    expect(delayJob.sort((a, b) => a.localeCompare(b))).toEqual(
      expect.arrayContaining([
        "bull:orders:1 lost",
        "bull:orders:1 unavailable",
        "bull:orders:2 unavailable",
        "bull:orders:3 unavailable",
      ]),
    );
    expect(await resource.report()).toEqual({ entries: 4, overlaps: 0, inversions: 0 });
    const jobs = await Promise.all(added.map(({ id }) => queue.getJob(id!)));
    expect(jobs.map((job) => job!.attemptsMade)).toEqual([1, 1, 1]);
  });
});

describe("a job ten times as long as its ttl", () => {
  test("keeps its key to the end", async () => {
    const ttl = 400;
    const { redlock, queue, resource, process, using } = setUp({ ttl });
    const worker = process(using);
    const all = completed(worker, 3);
    const losses: unknown[] = [];
    redlock.on("lost", (loss) => losses.push(loss));
    const startedAt = performance.now();

    await queue.addBulk([
      { name: "order", data: { entity: "0", ms: 10 * ttl } },
      ...orders(2, 1, 5),
    ]);
    await all;

    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(10 * ttl);
    expect(losses).toEqual([]);
    expect(await resource.report()).toEqual({ entries: 3, overlaps: 0, inversions: 0 });
  });

  test("is aborted before its key ends when it has no heartbeat", async () => {
    const { redlock, queue, process } = setUp();
    const seen: { reason: unknown; rests: number[] }[] = [];
    const worker = process(
      withLock(
        { redlock, key: KEY, heartbeat: false, onLost: "continue" },
        async (job: Job<Order>, _token, signal) => {
          const reason: unknown = await new Promise((resolve) => {
            signal.addEventListener("abort", () => resolve(signal.reason));
          });
          seen.push({ reason, rests: await restOfKey(job.data.entity) });
        },
      ),
    );
    const all = completed(worker, 1);

    await queue.addBulk(orders(1, 1, 0));
    await all;

    expect(seen).toMatchObject([{ reason: { code: "ERR_REDLOCK_LOST", reason: "ended" } }]);
    expect(seen[0]!.rests.filter((rest) => rest > 0)).toHaveLength(3);
  });
});
