import type { Job } from "bullmq";
import { EventEmitter, once } from "node:events";
import { expect, it, onTestFinished } from "vitest";
import { withLock, type WithLockOptions } from "../../../src/index.ts";
import { MemoryNodes } from "../../../src/testing/index.ts";

// What docs/testing.md says of plain objects in place of jobs.

const KEY = "account:42";

function memory(): MemoryNodes {
  const masters = new MemoryNodes({ virtualTime: true });
  onTestFinished(async () => await masters.close());
  return masters;
}

function jobWith(id: string, more: object = {}): Job {
  return { id, name: "charge", queueName: "charges", data: {}, ...more } as Job;
}

it("get the key in the order in which they asked, whatever their priority", async () => {
  const masters = memory();
  const other = await masters.hold(KEY);
  const order: (string | undefined)[] = [];
  const redlock = masters.redlock();
  const processor = withLock({ redlock, key: KEY, onConflict: "wait" }, async ({ id }) => {
    await Promise.resolve(order.push(id));
  });
  const runs: Promise<unknown>[] = [];
  for (const id of ["c", "b", "a"]) {
    runs.push(processor(jobWith(id, { priority: id === "a" ? 0 : 9, timestamp: 0, opts: {} })));
    await masters.advance(1);
  }
  await other.release();
  await Promise.all(runs);
  expect(order).toEqual(["c", "b", "a"]);
});

it.each<Partial<WithLockOptions>>([
  { onConflict: "cancelInProgress" },
  { onConflict: "keepLatest" },
  { maxWait: 1, onMaxWait: "skip" },
])("are put aside each time, and the holder goes on: %o", async (policies) => {
  const masters = memory();
  const redlock = masters.redlock();
  const end = new EventEmitter();
  const ended = once(end, "end");
  const holds = withLock({ ...policies, redlock, key: KEY }, async (_job, _token, signal) => {
    await ended;
    return signal.aborted;
  });
  const holding = holds(jobWith("1"));
  for (const id of ["2", "3", "2"]) {
    await expect(holds(jobWith(id))).rejects.toMatchObject({ name: "DelayedError" });
    await masters.advance(1_000);
  }
  end.emit("end");
  expect(await holding).toBe(false);
});

it("are delayed after each loss, however many there were", async () => {
  const masters = memory();
  const redlock = masters.redlock();
  const processor = withLock({ redlock, key: KEY }, async () => await masters.lose(KEY));
  const job = jobWith("1");
  for (let i = 0; i < 5; i++) {
    await expect(processor(job)).rejects.toThrow(/^delayed for \d+ ms: lost$/);
  }
});
