import { Worker } from "bullmq";
import { Worker as Worker5 } from "bullmq5";
import { expect, onTestFinished, test, vi } from "vitest";
import { LockedWorker } from "../../src/worker.ts";
import { ends, useBench } from "./support.ts";

// In this file "bullmq" is the oldest version that is supported.
vi.mock("bullmq", async () => await import("bullmq5"));

const FILE = new URL("programs/sandboxed.mjs", import.meta.url);

const bench = useBench();

test.each([
  { kind: "child processes", useWorkerThreads: false },
  { kind: "threads", useWorkerThreads: true },
])("BullMQ 5.72 locks for files in $kind too", async ({ useWorkerThreads }) => {
  expect(Worker).toBe(Worker5);
  const redlock = bench.redlock();
  const queue = bench.queue();
  const worker = new LockedWorker("invoices", FILE, {
    connection: { url: bench.queueUrl },
    lock: { redlock, key: "account:{{data.account}}" },
    concurrency: 2,
    useWorkerThreads,
  });
  onTestFinished(async () => await worker.close());
  const started = new Promise<unknown>((resolve) => {
    worker.once("progress", (_job, progress) => resolve(progress));
  });
  const done = ends(worker, 2);

  const first = await queue.add("charge", { account: "a", does: "waitForAbort" });
  const { lock } = (await started) as { lock: { keys: string[]; fencingToken: number } };
  await queue.add("charge", { account: "a", does: "token" });
  expect(await redlock.tryAcquire("account:a")).toBeNull();
  worker.cancelJob(first.id!, "not needed any more");

  expect(lock).toEqual({ keys: ["account:a"], fencingToken: expect.any(Number) as number });
  const [one, two] = await done;
  expect(one).toMatchObject({ job: { id: first.id }, result: { reason: "not needed any more" } });
  expect(two!.job.attemptsMade).toBe(1);
});
