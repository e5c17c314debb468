import type { Job } from "bullmq";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import {
  type Lock,
  LockConflictError,
  type LockKeys,
  type Redlock,
  withLock,
  type WithLockOptions,
} from "../../src/index.ts";
import { ends, failureOf, Gate, useBench } from "./support.ts";

const bench = useBench();
const KEY = "account:a";
/** Longer than a test may take. */
const FOR_EVER = { waitTimeout: 600_000 };

/** Runs one job under the keys, and returns how it ended. */
async function run(
  redlock: Redlock,
  processor: (job: Job, jobToken: string, signal: AbortSignal, lock: Lock) => Promise<unknown>,
  { keys = KEY, limit = 1 }: { keys?: LockKeys; limit?: number | undefined } = {},
) {
  const worker = bench.worker(withLock({ redlock, key: () => keys, limit }, processor));
  const ended = ends(worker, 1);
  const { id } = await bench.queue().add("charge", {});
  const [end] = await ended;
  return { ...end!, id };
}

describe("a job that waits for the key that it holds", () => {
  test("is refused at once, with the key and the job", async () => {
    const redlock = bench.redlock();
    const { error, id } = await run(
      redlock,
      async () => await redlock.using(KEY, FOR_EVER, () => "never"),
    );
    expect(error).toBeInstanceOf(LockConflictError);
    expect(error).toMatchObject({ key: KEY, own: true, holder: { job: { id } } });
    expect(error?.message).toMatch(
      new RegExp(
        `^"account:a" is held by the caller itself, bull:invoices:${id} attempt 1 \\(.*\\): use the lock that it was given; the key is released only when the caller is done$`,
      ),
    );
  });

  type Nested = (acquire: () => Promise<unknown>, signal: AbortSignal) => Promise<unknown>;
  const nested: [string, Nested][] = [
    ["at once", (acquire) => acquire()],
    ["later", (acquire) => pause(5).then(acquire)],
    ["in a function", async (acquire) => [await (async () => await acquire())()]],
    ["with others", async (acquire) => await Promise.all([pause(1), acquire()])],
    ["in a chain", async (acquire) => await acquire().finally(() => {})],
  ];
  test.each(nested)("is refused however it waits: %s", async (_, wait) => {
    const redlock = bench.redlock();
    const { error } = await run(
      redlock,
      async (_job, _token, signal) => await wait(() => redlock.acquire(KEY, FOR_EVER), signal),
    );
    expect(error).toMatchObject({ code: "ERR_REDLOCK_CONFLICT", own: true });
  });

  test("is refused with a signal, by another Redlock, and without a wait", async () => {
    const redlock = bench.redlock();
    const other = bench.redlock();
    const { error, result } = await run(redlock, async (_job, _token, signal) =>
      [
        await failureOf(redlock.acquire(KEY, { ...FOR_EVER, signal })),
        await failureOf(other.acquire(KEY, FOR_EVER)),
        await failureOf(redlock.acquire(KEY)),
        await redlock.tryAcquire(KEY),
      ].map((each) => (each instanceof LockConflictError ? each.own : each)),
    );
    expect(error).toBeUndefined();
    expect(result).toEqual([true, true, true, null]);
  });

  test("is refused for any of several keys", async () => {
    const redlock = bench.redlock();
    const keys = ["a", "b", "c"];
    const { error } = await run(redlock, async () => await redlock.acquire(["x", "b"], FOR_EVER), {
      keys,
    });
    expect(error).toMatchObject({ keys: ["b", "x"], key: "b", own: true });
  });

  test("is refused where it holds every slot", async () => {
    const redlock = bench.redlock();
    const { error, result } = await run(
      redlock,
      async () =>
        await redlock.using(KEY, { limit: 2 }, async () => {
          const both = await failureOf(redlock.acquire(KEY, { ...FOR_EVER, limit: 2 }));
          return (both as LockConflictError).message;
        }),
      { limit: 2 },
    );
    expect(error).toBeUndefined();
    expect(result).toMatch(/^"account:a" has 2 of 2 slots taken by the caller itself, /);
  });

  test("takes other keys, and a free slot", async () => {
    const redlock = bench.redlock();
    const { result } = await run(
      redlock,
      async (_job, _token, _signal, lock) => [
        await redlock.using("account:b", () => "other"),
        await redlock.using(KEY, { limit: 2 }, ({ slot }) => slot + lock.slot),
      ],
      { limit: 2 },
    );
    expect(result).toEqual(["other", 1]);
  });
});

describe("a caller that does not run under the lock", () => {
  test("waits for a job of the same process", async () => {
    const redlock = bench.redlock();
    const started = new Gate();
    const done = new Gate();
    const ended = run(redlock, async () => {
      started.open();
      await done.opened;
    });
    await started.opened;
    const refused = new Promise((resolve) => redlock.once("conflict", resolve));
    const waiting = redlock.using(KEY, FOR_EVER, () => "its turn");
    await refused;
    done.open();
    expect(await waiting).toBe("its turn");
    await ended;
  });

  test("waits for a job that does not wait for it, though that has started it", async () => {
    const redlock = bench.redlock();
    let late: Promise<string> | undefined;
    await run(redlock, async () => {
      const refused = new Promise((resolve) => redlock.once("conflict", resolve));
      late = pause(1).then(async () => await redlock.using(KEY, FOR_EVER, () => "afterwards"));
      await refused;
    });
    expect(await late).toBe("afterwards");
  });

  test("waits for another job of the process, under the lock of its own", async () => {
    const redlock = bench.redlock();
    const started = new Gate();
    const refused = new Promise((resolve) => redlock.once("conflict", resolve));
    const first = redlock.using("account:b", async () => {
      started.open();
      await refused;
    });
    await started.opened;
    const { result } = await run(
      redlock,
      async () => await redlock.using("account:b", FOR_EVER, () => "both"),
    );
    expect(result).toBe("both");
    await first;
  });
});

test("using within using is refused, and the outer one goes on", async () => {
  const redlock = bench.redlock();
  const inner = await redlock.using(KEY, async () => {
    await pause(1);
    return await failureOf(redlock.using(KEY, FOR_EVER, () => "never"));
  });
  expect(inner).toMatchObject({ key: KEY, own: true });
  expect(await redlock.using(KEY, FOR_EVER, () => "again")).toBe("again");
});

describe("a processor that is wrapped twice with one key", () => {
  const policies: (Pick<WithLockOptions, "onConflict" | "order"> & { limit?: number })[] = [
    {},
    { onConflict: "wait" },
    { onConflict: "skip" },
    { order: "strict" },
    { limit: 2 },
  ];
  test.each(policies)("fails with the key and the job: %j", async (options) => {
    const redlock = bench.redlock();
    const inner = withLock({ ...options, redlock, key: KEY }, async () => "ran");
    const { error, id } = await run(
      redlock,
      async (job, jobToken, signal) => await inner(job, jobToken, signal),
      { limit: options.limit },
    );
    expect(error).toBeInstanceOf(LockConflictError);
    expect(error).toMatchObject({ key: KEY, own: true, holder: { job: { id, attempt: 1 } } });
  });

  test("runs when the inner one has another key, or other masters", async () => {
    const outer = bench.redlock();
    const other = withLock({ redlock: outer, key: "account:b" }, async () => "other key");
    const elsewhere = bench.redlock({ prefix: "elsewhere:" });
    const same = withLock({ redlock: elsewhere, key: KEY }, async () => "other masters");
    const { result } = await run(outer, async (job) => [await other(job), await same(job)]);
    expect(result).toEqual(["other key", "other masters"]);
  });
});
