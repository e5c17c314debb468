import type { Job } from "bullmq";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { JobBeat } from "../../src/bullmq/job-beat.ts";
import { systemClock } from "../../src/clock.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function makeBeat(answers: (() => Promise<number>)[], opts: object = { lockDuration: 3_000 }) {
  const extendLock = vi.fn(async () => await (answers.shift() ?? (() => Promise.resolve(1)))());
  const job = { id: "17", queue: { opts }, extendLock } as unknown as Job;
  return { beat: new JobBeat(job, "token", systemClock), extendLock };
}

describe("the beat of BullMQ's lock", () => {
  test("renews it three times in its duration, until it is stopped", async () => {
    const { beat, extendLock } = makeBeat([]);
    beat.start();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(extendLock.mock.calls).toEqual(Array.from({ length: 3 }, () => ["token", 3_000]));
    beat.stop();
    beat.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(extendLock).toHaveBeenCalledTimes(3);
  });

  test.each([
    ["BullMQ says that it is gone", () => Promise.resolve(0)],
    ["the job is gone", () => Promise.reject(Object.assign(new Error("Missing"), { code: -2 }))],
  ])("says that it is lost, and ends, when %s", async (_, answer) => {
    const { beat, extendLock } = makeBeat([answer]);
    beat.start();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(beat.lost.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(extendLock).toHaveBeenCalledTimes(1);
    beat.start();
  });

  test("does not take a failed connection for a loss", async () => {
    const { beat, extendLock } = makeBeat([() => Promise.reject(new Error("ECONNRESET"))]);
    beat.start();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(beat.lost.aborted).toBe(false);
    expect(extendLock).toHaveBeenCalledTimes(2);
    beat.stop();
  });

  test("does not hear an answer that comes after it was stopped", async () => {
    let answer!: (extended: number) => void;
    const { beat } = makeBeat([() => new Promise((resolve) => (answer = resolve))]);
    beat.start();
    await vi.advanceTimersByTimeAsync(1_000);
    beat.stop();
    answer(0);
    await vi.advanceTimersByTimeAsync(0);
    expect(beat.lost.aborted).toBe(false);
  });

  test("takes BullMQ's default duration when the worker says none", async () => {
    const { beat, extendLock } = makeBeat([], {});
    beat.start();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(extendLock).toHaveBeenCalledExactlyOnceWith("token", 30_000);
    beat.stop();
  });

  test("stands still when the worker skips renewal", async () => {
    const { beat, extendLock } = makeBeat([], { skipLockRenewal: true });
    beat.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(extendLock).not.toHaveBeenCalled();
  });
});
