import type { Job, Queue, Worker } from "bullmq";
import { expect, onTestFinished, test } from "vitest";
import { type Redlock, withLock } from "../../src/index.ts";
import { LockedWorker } from "../../src/worker.ts";
import { waitFor } from "../support/wait-for.ts";
import { Gate, useBench } from "./support.ts";

const bench = useBench();
/** Allowance for a loaded machine, in ms. */
const LOAD = 3_000;

type Processor = (job: Job<string>) => Promise<void>;

function jobs(from: number) {
  return Array.from({ length: 12 }, (_, index) => ({ name: "charge", data: `b ${from + index}` }));
}

function withLockWorker(name: string, redlock: Redlock, processor: Processor): Worker {
  const wrapped = withLock({ redlock, key: "hot" }, processor);
  return bench.worker(wrapped, { name, concurrency: 20 });
}

function lockedWorker(name: string, redlock: Redlock, processor: Processor): Worker {
  const connection = { url: bench.queueUrl };
  const options = { connection, concurrency: 20, lock: { redlock, key: "hot" } };
  const worker = new LockedWorker<string>(name, processor, options);
  onTestFinished(() => worker.close());
  return worker;
}

test.each([
  ["by withLock, within one and a half ttls", withLockWorker, 2_000, 3_000],
  ["by a LockedWorker, within three seconds", lockedWorker, 60_000, 3_000],
])("a job that was parked starts after a deploy %s", async (_, open, ttl, bound) => {
  const started: string[] = [];
  const gate = new Gate();
  const held = new Gate();
  const processor = async ({ data }: Job<string>): Promise<void> => {
    started.push(data);
    if (data === "first") await gate.opened;
    if (data === "last of a") {
      held.open();
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  };
  const openWorkers = () => {
    const redlock = bench.redlock({ ttl });
    return ["a", "b"].map((name) => open(name, redlock, processor));
  };
  const workers = openWorkers();
  const [a, b] = ["a", "b"].map((name) => bench.queue(name)) as [Queue, Queue];
  await a.add("charge", "first");
  await waitFor(() => expect(started).toEqual(["first"]));
  await b.addBulk(jobs(0));
  await waitFor(async () => expect(await b.getDelayedCount()).toBe(12));
  await a.add("charge", "last of a");
  await waitFor(async () => expect(await a.getDelayedCount()).toBe(1));
  await b.addBulk(jobs(12));
  await waitFor(async () => expect(await b.getDelayedCount()).toBe(24));
  gate.open();

  // The worker of b is closed when the key is released.
  await held.opened;
  await Promise.all(workers.map((worker) => worker.close()));
  const before = started.length;
  openWorkers();
  const openedAt = performance.now();

  await waitFor(() => expect(started.length).toBeGreaterThan(before));
  expect(performance.now() - openedAt).toBeLessThan(bound + LOAD);
});
