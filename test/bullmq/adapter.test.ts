import type { Job, Worker } from "bullmq";
import { expect, test } from "vitest";
import { BullmqAdapter } from "../../src/bullmq/bullmq-adapter.ts";
import { moveToDelayed, workerOf } from "../../src/bullmq/bullmq-job.ts";
import { waitFields } from "../../src/bullmq/job-wait.ts";
import { waiterOf } from "../../src/bullmq/job-waiter.ts";
import { WorkerSlots } from "../../src/bullmq/worker-slots.ts";
import { engineOf } from "../../src/redlock/redlock.ts";
import {
  AHEAD,
  formatWaiterRecord,
  type StoredWaiter,
  type WaitingState,
} from "../../src/waiters/waiter.ts";
import { hasMissed } from "../../src/waiters/wakeups.ts";
import { useBench } from "./support.ts";

const bench = useBench();
const TOKEN = "token";

/** A job that a worker has taken up, and the adapter of its queue. */
async function activeJob() {
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
  const waiterWith = (
    record: { state: WaitingState; run: number },
    join?: number,
  ): StoredWaiter => {
    const whole = { ...record, replaceable: false, limit: 1, process: "p" };
    return { position, priority, record: formatWaiterRecord(whole, join) };
  };
  return { adapter, worker, job, waiterWith };
}

async function takeUp(worker: Worker): Promise<Job> {
  const job = await worker.getNextJob(TOKEN);
  if (job === undefined) throw new Error("expected a job");
  return job;
}

test.each([
  [["a", "b"], "gone"],
  [["b"], "on-its-way"],
])(
  "a job parked for %j that another one has put into a wait list is %s there",
  async (keys, state) => {
    const { adapter, job, waiterWith } = await activeJob();
    await moveToDelayed(job, TOKEN, {
      now: Date.now(),
      delay: 60_000,
      fields: waitFields(job, Date.now(), keys),
    });
    // Run 0 is that of a job that has not joined by itself.
    const absentee = waiterWith({ state: "arriving", run: 0 });
    expect(await adapter.stateOf(absentee, "a")).toBe(state);
  },
);

test("a job that was woken and taken up again does not show its first process dead", async () => {
  const { adapter, worker, job, waiterWith } = await activeJob();
  // It has joined before it is moved.
  const waiter = waiterWith({ state: "parked", run: 1 }, AHEAD);

  const parking = await adapter.stateOf(waiter, "a");
  expect([parking, hasMissed(waiter, parking)]).toEqual(["parking", true]);

  await moveToDelayed(job, TOKEN, { now: Date.now() - 10, delay: 0, fields: undefined });
  expect(await adapter.stateOf(waiter, "a")).toBe("parked");

  await takeUp(worker);
  const active = await adapter.stateOf(waiter, "a");
  expect([active, hasMissed(waiter, active)]).toEqual(["active", false]);
});
