import type { Job, Queue } from "bullmq";
import { expect, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { waitFor } from "../support/wait-for.ts";
import { Gate, useBench } from "./support.ts";

const bench = useBench();
const TTL = 2_000;
/** Allowance for a loaded machine, in ms. */
const LOAD = 3_000;

function jobs(from: number) {
  return Array.from({ length: 12 }, (_, index) => ({ name: "charge", data: `b ${from + index}` }));
}

test("a job that was parked behind many starts soon after a deploy, without a new job", async () => {
  const started: string[] = [];
  const gate = new Gate();
  const held = new Gate();
  const openWorkers = () => {
    const redlock = bench.redlock({ ttl: TTL });
    const processor = withLock({ redlock, key: "hot" }, async ({ data }: Job<string>) => {
      started.push(data);
      if (data === "first") await gate.opened;
      if (data === "last of a") {
        held.open();
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    });
    return ["a", "b"].map((name) => bench.worker(processor, { name, concurrency: 20 }));
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
  expect(performance.now() - openedAt).toBeLessThan(1.5 * TTL + LOAD);
});
