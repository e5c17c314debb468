import type { Job } from "bullmq";
import { expect, test } from "vitest";
import {
  changePriority,
  inspectJob,
  LockConfigError,
  Redlock,
  withLock,
  type WithLockOptions,
} from "../../src/index.ts";
import { LOCK_DATA_OPTIONS } from "../../src/bullmq/lock-settings.ts";

/** Connects to nothing: a Redlock does so at first use. */
const redlock = new Redlock({ nodes: ["redis://127.0.0.1:1"], ttl: 10_000, nodeTimeout: 100 });
redlock.on("warning", () => undefined);
const KEY = "account:{{data.account}}";
const processor = async (): Promise<void> => await Promise.resolve();

test("gives a function of exactly three parameters, as BullMQ needs to pass its signal", () => {
  expect(withLock({ redlock, key: KEY }, processor)).toHaveLength(3);
});

test.each([
  [{ onConfict: "skip" }, 'onConfict: found an unknown option, expected "onConflict"?'],
  [
    { concurrency: 1 },
    "concurrency: found an unknown option, expected one of redlock, key, onConflict",
  ],
  [
    { minHold: 15_001 },
    "minHold: found 15001, expected whole milliseconds from 0 to 10000, the maxTtl of the Redlock",
  ],
  [{ maxHold: 0 }, "maxHold: found 0, expected whole milliseconds"],
  [{ takeover: true }, "takeover: found an unknown option"],
  [{ redlock: undefined }, "redlock: found nothing, expected a Redlock"],
  [{ redlock: {} }, "redlock: found an object, expected a Redlock"],
  [{ key: undefined }, "key: found nothing, expected a key template or a function"],
  [{ key: 42 }, "key"],
  [{ key: "" }, "key"],
  [{ key: "account:{{data.account}" }, "key"],
  [{ key: "account:{{account}}" }, "key"],
  [
    { onConflict: "keepLast" },
    'onConflict: found "keepLast", expected one of "delay", "wait", "skip", "fail", "keepLatest"',
  ],
  [{ onConflict: "cancel" }, 'onConflict: found "cancel"'],
  [{ onConflict: "skipp" }, 'did you mean "skip"?'],
  [{ onConflict: null }, "onConflict: found null"],
  [{ order: "fifo" }, 'order: found "fifo", expected one of "arrival", "strict"'],
  [{ order: "strict", onConflict: "wait" }, 'order: found "strict", expected "arrival" with onC'],
  [
    { onUnavailable: "skip" },
    'onUnavailable: found "skip", expected one of "delay", "fail", "run"',
  ],
  [{ onLost: "retry" }, 'onLost: found "retry", expected one of "delay", "fail", "continue"'],
  [{ retryOrder: "strict" }, 'retryOrder: found "strict", expected one of "rejoin", "keep"'],
  [
    { retryOrder: "keep", onConflict: "keepLatest" },
    'retryOrder: found "keep", expected "rejoin" with onConflict: "keepLatest", by which a later job comes before a retry',
  ],
  [{ maxLost: 3 }, "maxLost: found an unknown option"],
  [{ ttl: 0 }, "ttl: found 0"],
  [{ ttl: 20_000 }, "ttl: found 20000"],
  [{ heartbeat: 9_999 }, "heartbeat: found 9999"],
  [{ heartbeat: true }, "heartbeat: found true"],
  [{ waitTimeout: 0 }, "waitTimeout: found 0, expected whole milliseconds"],
  [{ waitTimeout: "5s" }, 'waitTimeout: found "5s"'],
  [{ waitTimeout: Infinity }, "waitTimeout: found Infinity"],
  [{ maxWait: 0.5 }, "maxWait: found 0.5"],
  [{ maxWait: Number.NaN }, "maxWait: found NaN"],
  [{ maxAge: 0 }, "maxAge: found 0, expected whole milliseconds"],
  [{ onMaxWait: "run" }, 'onMaxWait: found "run", expected one of "fail", "skip"'],
  [{ skipResult: "skipped" }, 'skipResult: found "skipped", expected a function'],
  [{ jobLogs: true }, 'jobLogs: found true, expected one of "conflicts", "off", "all"'],
  [{ unrecoverable: true }, "unrecoverable: found an unknown option"],
])("refuses %o when it wraps", (wrong, message) => {
  const options = { redlock, key: KEY, ...wrong } as unknown as WithLockOptions;
  expect(() => withLock(options, processor)).toThrow(LockConfigError);
  expect(() => withLock(options, processor)).toThrow(message);
});

test.each(["redlock", ...Object.keys(LOCK_DATA_OPTIONS), "skipResult"])(
  "refuses null as %s",
  (option) => {
    const options = { redlock, key: KEY, [option]: null } as unknown as WithLockOptions;
    expect(() => withLock(options, processor)).toThrow(LockConfigError);
    expect(() => withLock(options, processor)).toThrow(
      new RegExp(`^${option}: found null( as a limit)?, expected `),
    );
  },
);

test.each([undefined, null, "account", []])("refuses %s as options", (options) => {
  expect(() => withLock(options as unknown as WithLockOptions, processor)).toThrow(LockConfigError);
});

test("refuses what is no processor", () => {
  const file = "./processor.js" as unknown as typeof processor;
  expect(() => withLock({ redlock, key: KEY }, file)).toThrow(
    'processor: found "./processor.js", expected a function that processes a job; a LockedWorker takes one in a file',
  );
});

test.each<[options: object, message: string]>([
  [{ waitTimeout: 5_000 }, 'waitTimeout: found 5000, expected onConflict: "wait" beside it'],
  [{ onConflict: "skip", waitTimeout: 1 }, 'waitTimeout: found 1, expected onConflict: "wait"'],
  [{ onMaxWait: "skip" }, 'onMaxWait: found "skip", expected maxWait or maxAge beside it'],
  [{ onMaxWait: "fail", maxHold: 1 }, 'onMaxWait: found "fail", expected maxWait or maxAge'],
  [{ skipResult: () => 0 }, "skipResult: found a function, expected a policy that may skip a job"],
  [
    { onConflict: "wait", skipResult: () => 0, maxWait: 1 },
    'such as onConflict: "skip" beside it, without which it has no effect',
  ],
])("refuses %o, which would have no effect", (options, message) => {
  const create = (): unknown => withLock({ redlock, key: KEY, ...options }, processor);
  expect(create).toThrow(LockConfigError);
  expect(create).toThrow(message);
});

test("takes every option at its bounds", () => {
  for (const options of [
    { ttl: 10_000, heartbeat: false as const },
    { onConflict: "wait" as const, waitTimeout: 1 },
    { onConflict: () => "wait" as const, waitTimeout: 1 },
    { maxAge: 1, onMaxWait: "fail" as const },
    { maxWait: 1, onMaxWait: "skip" as const, skipResult: () => null },
    { maxWait: 2 ** 31 - 1 },
    { onConflict: () => "skip" as const },
    { onConflict: "keepLatest" as const, skipResult: () => null },
    { onConflict: () => "skip" as const, skipResult: () => null },
    { waitTimeout: undefined, onMaxWait: undefined, skipResult: undefined } as never,
  ]) {
    expect(withLock({ redlock, key: KEY, ...options }, processor)).toBeTypeOf("function");
  }
});

const REMOVED =
  "job: found nothing, expected a job of BullMQ: queue.getJob() gives undefined for one that was removed";

test.each([
  [undefined, REMOVED],
  [null, "job: found null, expected a job of BullMQ"],
  ["17", "job: found a text, expected a job of BullMQ"],
  [{ id: "17" }, "job: found an object, expected a job of BullMQ"],
])("inspectJob and changePriority refuse %o as a job", async (wrong, message) => {
  const job = wrong as unknown as Job;
  const calls = [inspectJob(redlock, job), changePriority(redlock, job, { priority: 1 })];
  for (const call of calls) {
    await expect(call).rejects.toThrow(LockConfigError);
    await expect(call).rejects.toThrow(message);
  }
});

test.each([
  [undefined, "job: found nothing, expected a job with its queueName"],
  [
    { id: "17", name: "charge", data: { account: "a" } },
    "job.queueName: found nothing, expected the name of its queue",
  ],
])("a wrapped processor refuses %o as a job", async (wrong, message) => {
  const run = withLock({ redlock, key: KEY }, processor)(wrong as unknown as Job);
  await expect(run).rejects.toThrow(LockConfigError);
  await expect(run).rejects.toThrow(message);
});
