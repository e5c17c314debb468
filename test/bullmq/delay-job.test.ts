import type { Job } from "bullmq";
import { describe, expect, test, vi } from "vitest";
import { activate } from "../../src/bullmq/activation.ts";
import { checkLockOptions } from "../../src/bullmq/lock-settings.ts";
import { delayJob } from "../../src/bullmq/park-job.ts";
import { Redlock, type RedlockWarning } from "../../src/index.ts";

const REQUEST = { keys: ["account:a"], reason: "conflict", delay: 100 } as const;

/** A job whose storage gives the answers of `moves`. */
async function makeJob(
  moves: (() => Promise<void>)[],
  { worker = {}, delayed = false }: { worker?: object; delayed?: boolean } = {},
) {
  const renewals: string[] = [];
  const job = {
    id: "17",
    queueName: "invoices",
    timestamp: 1,
    opts: {},
    queue: { opts: { lockDuration: 300 }, qualifiedName: "bull:invoices", ...worker },
    moveToDelayed: vi.fn(async () => await (moves.shift() ?? (() => Promise.resolve()))()),
    isDelayed: vi.fn(() => Promise.resolve(delayed)),
    extendLock: vi.fn(async () => {
      renewals.push("renewal");
      return await Promise.resolve(1);
    }),
  };
  const redlock = new Redlock({ nodes: ["redis://127.0.0.1:1"], ttl: 10_000 });
  const warnings: RedlockWarning[] = [];
  redlock.on("warning", (warning) => warnings.push(warning));
  const parked = vi.fn();
  redlock.on("parked", parked);
  const settings = checkLockOptions({ redlock, key: "a" });
  const locks = { settingsOf: () => settings, coverAll: () => true };
  const activation = await activate(locks, job as unknown as Job, "token", undefined);
  activation.renewal.start();
  return { job, activation, renewals, parked, warnings };
}

function failing(message: string, code?: number): () => Promise<void> {
  return () => Promise.reject(Object.assign(new Error(message), { code }));
}

describe("delaying a job", () => {
  test("moves it once, emits the event, and gives the error that BullMQ knows by name", async () => {
    const { job, activation, parked } = await makeJob([]);
    const before = Date.now();

    const { error } = await delayJob(activation, REQUEST);

    expect(error.name).toBe("DelayedError");
    expect(job.moveToDelayed).toHaveBeenCalledTimes(1);
    const [timestamp, token] = job.moveToDelayed.mock.calls[0] as unknown as [number, string];
    expect(timestamp - before).toBeGreaterThanOrEqual(100);
    expect(timestamp - Date.now()).toBeLessThanOrEqual(100);
    expect(token).toBe("token");
    expect(parked).toHaveBeenCalledExactlyOnceWith({
      ...REQUEST,
      queue: "invoices",
      job: "bull:invoices:17",
    });
  });

  test("no longer renews BullMQ's lock once it tries", async () => {
    vi.useFakeTimers();
    try {
      const { activation, renewals } = await makeJob([]);
      await delayJob(activation, REQUEST);
      await vi.advanceTimersByTimeAsync(1_000);
      expect(renewals).toEqual([]);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test.each([-1, -2, -3, -6])(
    "leaves a job alone that is no longer ours (code %i), without an event",
    async (code) => {
      const { job, activation, parked, warnings } = await makeJob([failing("moved", code)]);
      const { error } = await delayJob(activation, REQUEST);
      expect(error.name).toBe("DelayedError");
      expect(job.moveToDelayed).toHaveBeenCalledTimes(1);
      expect(parked).not.toHaveBeenCalled();
      expect(warnings).not.toContainEqual(expect.objectContaining({ code: "delay-failed" }));
    },
  );

  test("tries again after a failed connection, and renews BullMQ's lock until then", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const lost = failing("Connection is closed.");
      const { job, activation, parked, renewals } = await makeJob([lost, lost, lost]);
      const delaying = delayJob(activation, REQUEST);
      await vi.advanceTimersByTimeAsync(49);
      expect(job.moveToDelayed).toHaveBeenCalledTimes(1);
      await vi.advanceTimersByTimeAsync(1 + 100 + 200);
      expect((await delaying).error.name).toBe("DelayedError");
      expect(job.moveToDelayed).toHaveBeenCalledTimes(4);
      expect(renewals.length).toBeGreaterThanOrEqual(1);
      expect(parked).toHaveBeenCalledTimes(1);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test.each([true, false])(
    "has delayed it if only the answer was lost: it is in the delayed set (%s)",
    async (delayed) => {
      const tries = [failing("Connection is closed."), failing("not active", -3)];
      const { activation, parked } = await makeJob(tries, { delayed });
      expect((await delayJob(activation, REQUEST)).moved).toBe(delayed);
      expect(parked).toHaveBeenCalledTimes(delayed ? 1 : 0);
    },
  );

  test("gives up after the lock duration with a warning; the stall check gets the job", async () => {
    const lost = failing("Connection is closed.");
    const { activation, parked, warnings } = await makeJob(Array<typeof lost>(50).fill(lost));
    const startedAt = performance.now();

    const { error } = await delayJob(activation, REQUEST);

    expect(error.name).toBe("DelayedError");
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    expect(parked).not.toHaveBeenCalled();
    expect(warnings).toContainEqual(
      expect.objectContaining({
        code: "delay-failed",
        message: expect.stringContaining("Connection is closed.") as string,
      }),
    );
  });

  test("does not delay a worker that is closing", async () => {
    const lost = failing("Connection is closed.");
    const { job, activation } = await makeJob([lost, lost], {
      worker: { closing: Promise.resolve() },
    });

    await delayJob(activation, REQUEST);

    expect(job.moveToDelayed).toHaveBeenCalledTimes(1);
  });
});
