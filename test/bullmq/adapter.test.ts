import type { Job, Worker } from "bullmq";
import { expect, test } from "vitest";
import { BullmqAdapter } from "../../src/bullmq/bullmq-adapter.ts";
import { moveToDelayed, workerOf } from "../../src/bullmq/bullmq-job.ts";
import { waiterOf } from "../../src/bullmq/job-waiter.ts";
import { WorkerSlots } from "../../src/bullmq/worker-slots.ts";
import { engineOf } from "../../src/redlock/redlock.ts";
import { AHEAD, formatWaiterRecord, type StoredWaiter } from "../../src/waiters/waiter.ts";
import { hasMissed } from "../../src/waiters/wakeups.ts";
import { useBench } from "./support.ts";

const bench = useBench();
const TOKEN = "token";

async function takeUp(worker: Worker): Promise<Job> {
  const job = await worker.getNextJob(TOKEN);
  if (job === undefined) throw new Error("expected a job");
  return job;
}

test("a job that was woken and taken up again does not show its first process dead", async () => {
  const worker = bench.worker(null as never);
  await bench.queue().add("charge", {});
  const job = await takeUp(worker);
  const jobWorker = workerOf(job);
  const parts = { worker: jobWorker, slots: new WorkerSlots(jobWorker) };
  const adapter = new BullmqAdapter("id", parts, job, engineOf(bench.redlock()), {
    settingsOf: () => expect.unreachable(),
    coverAll: () => false,
  });
  const { position, priority } = waiterOf(job, "id", false);
  const record = { state: "parked", replaceable: false, run: 1, limit: 1, process: "p" } as const;
  // It has joined before it is moved.
  const waiter: StoredWaiter = { position, priority, record: formatWaiterRecord(record, AHEAD) };

  const parking = await adapter.stateOf(waiter, "a");
  expect([parking, hasMissed(waiter, parking)]).toEqual(["parking", true]);

  await moveToDelayed(job, TOKEN, { now: Date.now() - 10, delay: 0, fields: undefined });
  expect(await adapter.stateOf(waiter, "a")).toBe("parked");

  await takeUp(worker);
  const active = await adapter.stateOf(waiter, "a");
  expect([active, hasMissed(waiter, active)]).toEqual(["active", false]);
});
