import { type Job, Queue } from "bullmq";
import { Queue as Queue5 } from "bullmq5";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import type { JobWorker } from "../../src/bullmq/bullmq-job.ts";
import { waiterOf } from "../../src/bullmq/job-waiter.ts";
import { runHasten, runWake } from "../../src/bullmq/wake-script.ts";
import { AHEAD, formatWaiterRecord, type StoredWaiter } from "../../src/waiters/waiter.ts";
import { Gate, useBench } from "./support.ts";

const bench = useBench(0);
const LONG = 600_000;
let queues = 0;

/** The waiter of a job that was parked in its first run. */
function waiterFor(job: Job, run = 0, entry = 0): StoredWaiter {
  const { position, priority } = waiterOf(job, "q", false);
  const parts = { state: "parked", replaceable: false, run, limit: 1, process: "p" } as const;
  return { position, priority, record: formatWaiterRecord(parts, entry) };
}

describe.each([
  ["BullMQ 6", Queue],
  ["BullMQ 5", Queue5 as unknown as typeof Queue],
])("in %s", (_, QueueClass) => {
  function open() {
    const connection = { url: bench.queueUrl };
    const queue = new QueueClass(`wake-${(queues += 1)}`, { connection });
    onTestFinished(async () => await queue.close());
    const wake = (waiter: StoredWaiter) => runWake(queue as unknown as JobWorker, waiter);
    const hasten = (waiter: StoredWaiter, at: number) =>
      runHasten(queue as unknown as JobWorker, waiter, at);
    const redis = new Redis(bench.queueUrl);
    onTestFinished(() => redis.disconnect());
    const marker = queue.toKey("marker");
    return { queue, wake, hasten, redis, marker };
  }

  test("a woken job is the first of its queue, and no longer delayed", async () => {
    const { queue, wake } = open();
    await queue.addBulk([1, 2, 3].map((n) => ({ name: `backlog ${n}`, data: {} })));
    const job = await queue.add("parked", {}, { delay: LONG });
    expect(await wake(waiterFor(job))).toBe("woken");
    const waiting = await queue.getJobs(["waiting"], 0, -1, true);
    expect(waiting.map(({ name }) => name)).toEqual([
      "parked",
      "backlog 1",
      "backlog 2",
      "backlog 3",
    ]);
    expect((await queue.getJob(job.id!))?.delay).toBe(0);
    expect(await wake(waiterFor(job))).toBe("moved");
  });

  test("a hastened job stays delayed, comes back sooner, and never later", async () => {
    const { queue, hasten, redis } = open();
    const job = await queue.add("parked", {}, { delay: LONG });
    const dueIn = async (): Promise<number> => {
      const score = await redis.zscore(queue.toKey("delayed"), job.id!);
      return Number(score) / 0x1000 - Date.now();
    };
    expect(await hasten(waiterFor(job, -1), Date.now())).toBe("moved");
    expect(await hasten(waiterFor(job), Date.now() + 2 * LONG)).toBe("sooner");
    expect(await dueIn()).toBeGreaterThan(LONG / 2);
    expect(await hasten(waiterFor(job), Date.now() + 20)).toBe("sooner");
    expect(await dueIn()).toBeLessThan(1_000);
    expect(await job.getState()).toBe("delayed");

    const ran = new Gate();
    bench.worker(() => Promise.resolve(ran.open()), { name: queue.name });
    await ran.opened;
  });

  test("it keeps its priority, and comes before its equals", async () => {
    const { queue, wake } = open();
    await queue.add("equal", {}, { priority: 7 });
    await queue.add("first", {}, { priority: 6 });
    const job = await queue.add("parked", {}, { priority: 7, delay: LONG });
    expect(await wake(waiterFor(job))).toBe("woken");
    const waiting = await queue.getJobs(["prioritized"], 0, -1, true);
    expect(waiting.map(({ name }) => name)).toEqual(["first", "parked", "equal"]);
  });

  test("a later job with the same id, or one that is gone, is not woken", async () => {
    const { queue, wake } = open();
    const options = { jobId: "a", delay: LONG, timestamp: 1_000 };
    const before = waiterFor(await queue.add("before", {}, options));
    await queue.remove("a");
    expect(await wake(before)).toBe("gone");
    const later = await queue.add("later", {}, { ...options, timestamp: 2_000 });
    expect(await wake(before)).toBe("gone");
    expect(await later.getState()).toBe("delayed");
  });

  test("a job that was taken up since, or that never was parked, stays in its delay", async () => {
    const { queue, wake } = open();
    const job = await queue.add("parked", {}, { delay: LONG });
    expect(await wake(waiterFor(job, -1))).toBe("moved");
    expect(await wake(waiterFor(job, 0, AHEAD))).toBe("moved");
    expect(await job.getState()).toBe("delayed");
  });

  test("a paused queue is left to BullMQ", async () => {
    const { queue, wake } = open();
    const job = await queue.add("parked", {}, { delay: LONG });
    await queue.pause();
    expect(await wake(waiterFor(job))).toBe("special");
    expect(await job.getState()).toBe("delayed");
  });

  test("an idle worker is told", async () => {
    const { queue, wake, redis, marker } = open();
    const job = await queue.add("parked", {}, { delay: LONG });
    await redis.del(marker);
    expect(await wake(waiterFor(job))).toBe("woken");
    expect(await redis.zscore(marker, "0")).toBe("0");
  });
});
