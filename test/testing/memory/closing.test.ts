import type { Job } from "bullmq";
import { EventEmitter, once } from "node:events";
import { expect, it, onTestFinished, vi } from "vitest";
import { type Redlock, RedlockClosedError, withLock } from "../../../src/index.ts";
import { MemoryNodes } from "../../../src/testing/index.ts";

const KEY = "account:42";
const job = { id: "1", name: "charge", queueName: "charges", data: {} } as Job;

/** A close that hangs fails soon. */
vi.setConfig({ testTimeout: 5_000 });

/** Time that stands still, in each of the ways in which a test can have it. */
const STOPPED = [
  {
    by: "virtualTime",
    start: () => new MemoryNodes({ virtualTime: true }),
  },
  {
    by: "the fake timers of the runner",
    start: () => {
      vi.useFakeTimers({
        toFake: ["setTimeout", "clearTimeout", "setImmediate", "Date", "performance"],
      });
      onTestFinished(() => void vi.useRealTimers());
      return new MemoryNodes();
    },
  },
];

/** Runs a job that does not end before `end` is called, or its signal aborts if it heeds that; resolves when it runs. */
async function runJob(redlock: Redlock, { heeds }: { heeds: boolean }) {
  const told = new EventEmitter();
  const [ended, running] = [once(told, "end"), once(told, "run")];
  const end = (value: string): void => void told.emit("end", value);
  const processor = withLock({ redlock, key: KEY }, async (_job, _jobToken, signal) => {
    told.emit("run", signal);
    if (heeds) signal.addEventListener("abort", () => end("aborted"));
    return (await ended)[0] as string;
  });
  const outcome = processor(job).catch((error: unknown) => error);
  const [signal] = (await running) as [AbortSignal];
  return { signal, outcome, end };
}

it.each(STOPPED)("closes at once under a job that heeds its signal: $by", async ({ start }) => {
  const masters = start();
  const { signal, outcome } = await runJob(masters.redlock(), { heeds: true });
  await masters.close();
  expect(signal.reason).toMatchObject({ code: "ERR_REDLOCK_LOST", reason: "closed" });
  expect(await outcome).toMatchObject({ name: "DelayedError" });
});

it.each(STOPPED)("leaves a job behind that never ends: $by", async ({ start }) => {
  const masters = start();
  const { outcome, end } = await runJob(masters.redlock(), { heeds: false });
  await masters.close();
  end("too late");
  expect(await outcome).toMatchObject({ name: "DelayedError" });
});

it.each(STOPPED)("ends the time that a closing client leaves its jobs: $by", async ({ start }) => {
  const masters = start();
  const redlock = masters.redlock();
  const { outcome } = await runJob(redlock, { heeds: true });
  const closing = redlock.close();
  await masters.close();
  await closing;
  expect(await outcome).toMatchObject({ name: "DelayedError" });
});

it.each(STOPPED)("closes under waits, routines and an outage: $by", async ({ start }) => {
  const masters = start();
  await masters.hold(KEY);
  const waiting = masters.redlock().acquire(KEY, { waitTimeout: 60_000 });
  const job = masters.redlock();
  const processor = withLock({ redlock: job, key: KEY, onConflict: "wait" }, async () => {});
  const waitingJob = processor({ id: "2", name: "charge", queueName: "charges" } as Job);
  const routine = masters.redlock().using("account:7", () => new Promise(() => undefined));
  routine.catch(() => undefined);
  const ends = Promise.allSettled([waiting, waitingJob]);
  while ((await job.inspect(KEY)).waiting < 2);
  masters.fail();
  await masters.close();
  expect(await ends).toMatchObject([
    { reason: { code: "ERR_REDLOCK_CLOSED" } },
    { reason: { name: "DelayedError" } },
  ]);
});

it("refuses everything when it is closed", async () => {
  const masters = new MemoryNodes({ virtualTime: true });
  const redlock = masters.redlock();
  await masters.close();
  const closed = expect.objectContaining({
    name: "RedlockClosedError",
    code: "ERR_REDLOCK_CLOSED",
    message: "these MemoryNodes are closed; make new ones, or close them later",
  }) as Error;
  expect(() => masters.redlock()).toThrow(closed);
  expect(() => masters.fail()).toThrow(closed);
  expect(() => masters.restore()).toThrow(closed);
  await expect(masters.hold(KEY)).rejects.toEqual(closed);
  await expect(masters.lose(KEY)).rejects.toEqual(closed);
  await expect(masters.advance(1)).rejects.toEqual(closed);
  await expect(redlock.acquire(KEY)).rejects.toThrow(RedlockClosedError);
  await masters.close();
});
