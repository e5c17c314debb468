import type { Job } from "bullmq";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { JobLockRenewal } from "../../src/bullmq/job-lock-renewal.ts";
import { systemClock } from "../../src/clock.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function makeRenewal(answers: (() => Promise<number>)[], opts: object = { lockDuration: 3_000 }) {
  const extendLock = vi.fn(async () => await (answers.shift() ?? (() => Promise.resolve(1)))());
  const job = { id: "17", queue: { opts }, extendLock } as unknown as Job;
  return { renewal: new JobLockRenewal(job, "token", systemClock), extendLock };
}

describe("the renewal of BullMQ's lock", () => {
  test("renews it three times in its duration, until it is stopped", async () => {
    const { renewal, extendLock } = makeRenewal([]);
    renewal.start();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(extendLock.mock.calls).toEqual(Array.from({ length: 3 }, () => ["token", 3_000]));
    renewal.stop();
    renewal.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(extendLock).toHaveBeenCalledTimes(3);
  });

  test.each([
    ["BullMQ says that it is gone", () => Promise.resolve(0)],
    ["the job is gone", () => Promise.reject(Object.assign(new Error("Missing"), { code: -2 }))],
  ])("says that it is lost, and ends, when %s", async (_, answer) => {
    const { renewal, extendLock } = makeRenewal([answer]);
    renewal.start();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(renewal.lost.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(extendLock).toHaveBeenCalledTimes(1);
    renewal.start();
  });

  test("does not take a failed connection for a loss", async () => {
    const { renewal, extendLock } = makeRenewal([() => Promise.reject(new Error("ECONNRESET"))]);
    renewal.start();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(renewal.lost.aborted).toBe(false);
    expect(extendLock).toHaveBeenCalledTimes(2);
    renewal.stop();
  });

  test("ignores an answer that comes after it was stopped", async () => {
    let answer!: (extended: number) => void;
    const { renewal } = makeRenewal([() => new Promise((resolve) => (answer = resolve))]);
    renewal.start();
    await vi.advanceTimersByTimeAsync(1_000);
    renewal.stop();
    answer(0);
    await vi.advanceTimersByTimeAsync(0);
    expect(renewal.lost.aborted).toBe(false);
  });

  test("takes BullMQ's default duration when the worker says none", async () => {
    const { renewal, extendLock } = makeRenewal([], {});
    renewal.start();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(extendLock).toHaveBeenCalledExactlyOnceWith("token", 30_000);
    renewal.stop();
  });

  test("stands still when the worker skips renewal", async () => {
    const { renewal, extendLock } = makeRenewal([], { skipLockRenewal: true });
    renewal.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(extendLock).not.toHaveBeenCalled();
  });
});
