import {
  DelayedError,
  RateLimitError,
  UnrecoverableError,
  WaitingChildrenError,
  WaitingError,
  type Job,
} from "bullmq";
import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { getLock, type Lock, LockKeyError, withLock } from "../../src/index.ts";
import { aborted, ends, errorsOf, failureOf, Gate, useBench } from "./support.ts";

interface Data {
  account: string;
}

const bench = useBench();
const KEY = "account:{{data.account}}";

describe("the processor", () => {
  test("gets the job, the token, a signal and the held lock, which getLock finds too", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const seen: unknown[] = [];
    const below = async (job: Job<Data>): Promise<Lock> => {
      await Promise.resolve();
      return getLock(job);
    };
    let jobOutside: Job<Data> | undefined;
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async (...given) => {
        const [job, jobToken, signal, lock] = given as [Job<Data>, string, AbortSignal, Lock];
        jobOutside = job;
        seen.push(given.length, typeof jobToken, signal.aborted, lock.keys, lock.held);
        seen.push((await below(job)) === lock, lock.fencingToken > 0);
      }),
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });
    await done;

    expect(seen).toEqual([4, "string", false, ["account:a"], true, true, true]);
    expect(() => getLock(jobOutside!)).toThrow("no processor of withLock is running");
  });

  test.each([
    [0, true],
    [1, false],
    [2, false],
    [3, true],
  ])("that declares %i parameters gets a signal: %s; a loss always counts", async (count, has) => {
    const redlock = bench.redlock({ ttl: 1_000 });
    const lost = new Promise((resolve) => redlock.once("lost", resolve));
    const signals: unknown[] = [];
    const processor = async (...given: unknown[]): Promise<void> => {
      signals.push(given[2]);
      await redlock.forceRelease("account:a", { reason: "a test" });
      await lost;
    };
    Object.defineProperty(processor, "length", { value: count });
    const worker = bench.worker(withLock({ redlock, key: KEY, onLost: "fail" }, processor));
    const done = ends(worker, 1);

    await bench.queue().add("charge", { account: "a" });

    const [end] = await done;
    expect(end!.error).toMatchObject({ code: "ERR_REDLOCK_LOST" });
    expect(signals).toEqual([has ? expect.any(AbortSignal) : undefined]);
  });

  test("may take several keys, all of them or none", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const worker = bench.worker(
      withLock({ redlock, key: (job: Job<string[]>) => job.data }, async (_job, _t, _s, lock) => {
        return await Promise.resolve(lock.keys);
      }),
    );
    const done = ends(worker, 1);

    await queue.add("transfer", ["b", "a", "b"]);

    expect((await done)[0]!.result).toEqual(["a", "b"]);
  });

  test("runs without a lock for the key null", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    let lock: Lock | undefined;
    const worker = bench.worker(
      withLock({ redlock, key: () => null }, async (job: Job<Data>) => {
        lock = getLock(job);
        return await Promise.resolve("ran");
      }),
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });

    expect((await done)[0]!.result).toBe("ran");
    expect(lock).toMatchObject({ keys: [], held: false, fencingToken: 0 });
    expect(lock!.remaining()).toBe(0);
    expect(() => lock!.assertHeld()).toThrow("the job runs without one");
    expect(await failureOf(lock!.extend())).toMatchObject({
      code: "ERR_REDLOCK_LOST",
      reason: "unlocked",
    });
    expect(await lock!.release()).toBe("expired");
    expect(lock!.signal.aborted).toBe(false);
  });

  test.each([
    ["a missing path", KEY, {}],
    ["a key function that throws", () => nothing(), { account: "a" }],
    ["a key that is no key", () => "@mine", { account: "a" }],
  ])("is not run, and the job fails for good, for %s", async (_, key, data) => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    let ran = false;
    const worker = bench.worker(
      withLock({ redlock, key }, async () => {
        await Promise.resolve();
        ran = true;
      }),
    );
    const done = ends(worker, 1);

    await queue.add("charge", data, { attempts: 3 });

    const [end] = await done;
    expect(ran).toBe(false);
    expect(end!.job.attemptsMade).toBe(1);
    expect(end!.error).toMatchObject({
      name: new UnrecoverableError().name,
      code: "ERR_REDLOCK_KEY",
      cause: { name: "LockKeyError" },
    });
    expect(end!.error!.message).toBe((end!.error!.cause as Error).message);
  });

  test("fails for want of a key as docs/lock-keys.md shows it", async () => {
    const page = readFileSync(new URL("../../docs/lock-keys.md", import.meta.url), "utf8");
    const [, shown = ""] = /```ts\n(worker\.on.*?)\n```/s.exec(page) ?? [];
    const run = runInThisContext(`(worker, LockKeyError, console) => { ${shown} }`) as (
      ...given: unknown[]
    ) => void;
    const redlock = bench.redlock();
    const queue = bench.queue();
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async () => await Promise.resolve()),
    );
    const said: unknown[] = [];
    run(worker, LockKeyError, { error: (...words: unknown[]) => said.push(...words) });
    const done = ends(worker, 1);

    await queue.add("charge", {}, { jobId: "no account" });

    await done;
    expect(said).toEqual([expect.stringMatching(/:no account$/), "data.account"]);
  });

  test("is aborted when the job is cancelled, and keeps its key until it has settled", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const started = new Gate();
    const mayEnd = new Gate();
    const heard = new Gate<unknown>();
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async (_job: Job<Data>, _token, signal) => {
        started.open();
        heard.open(await aborted(signal));
        await mayEnd.opened;
        throw new Error("stopped");
      }),
    );
    const done = ends(worker, 1);
    const job = await queue.add("charge", { account: "a" });
    await started.opened;

    worker.cancelJob(job.id!, "enough");

    expect(await heard.opened).toBe("enough");
    expect(await redlock.isLocked("account:a")).toBe(true);
    mayEnd.open();
    expect((await done)[0]!.error!.message).toBe("stopped");
    expect(await redlock.isLocked("account:a")).toBe(false);
  });
});

describe("the outcome of the processor is that of the job, and the key is free before", () => {
  test.each([undefined, null, false, 0, "", { ok: true }])("returned %s", async (value) => {
    expect(await settle(async () => await Promise.resolve(value))).toEqual({
      settled: { returned: value },
      released: true,
    });
  });

  test.each([
    new Error("plain"),
    "text",
    new DelayedError(),
    new WaitingError(),
    new WaitingChildrenError(),
    new UnrecoverableError("never again"),
    new RateLimitError(),
    Object.assign(new Error("from another copy of BullMQ"), { name: "DelayedError" }),
  ])("threw %s", async (thrown) => {
    const { settled, released } = await settle(() => Promise.reject(thrown));
    expect(settled).toEqual({ threw: thrown });
    expect((settled as { threw: unknown }).threw).toBe(thrown);
    expect(released).toBe(true);
  });

  test.each([undefined, null])("threw %s, which BullMQ gets as an error", async (thrown) => {
    const { settled, released } = await settle(() => Promise.reject(thrown));
    expect(settled).toEqual({ threw: new Error(`the processor threw ${thrown}`) });
    expect(released).toBe(true);
  });

  test("threw at once, without a promise", async () => {
    const thrown = new Error("synchronous");
    const { settled, released } = await settle(() => {
      throw thrown;
    });
    expect(settled).toEqual({ threw: thrown });
    expect(released).toBe(true);
  });

  test("when the release fails because all masters are gone", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const wrapped = withLock({ redlock, key: KEY }, async () => {
      bench.freeze();
      return await Promise.resolve("done");
    });
    const job = (await queue.add("charge", { account: "a" })) as Job<Data>;

    expect(await wrapped(job, "token")).toBe("done");
    bench.thaw();
  });
});

describe("a processor that steers its own job", () => {
  test("moves it by a moveTo... method or a rate limit, and is run again", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async (job: Job<Data>, token) => {
        if (job.attemptsStarted === 1) {
          await job.moveToDelayed(Date.now() + 10, token);
          throw new DelayedError();
        }
        if (job.attemptsStarted === 2) {
          await job.moveToWait(token);
          throw new WaitingError();
        }
        if (job.attemptsStarted === 3) {
          await worker.rateLimit(10);
          throw new RateLimitError();
        }
        if (await job.moveToWaitingChildren(token)) throw new WaitingChildrenError();
        return "done";
      }),
    );
    const done = ends(worker, 1);

    await queue.add("charge", { account: "a" });

    expect((await done)[0]).toMatchObject({
      result: "done",
      job: { attemptsMade: 1, attemptsStarted: 4 },
    });
    expect(errorsOf(worker)).toEqual([]);
    expect(await redlock.isLocked("account:a")).toBe(false);
  });
});

/** Calls the wrapped processor as a worker does, and reads the key in the tick in which it settles. */
async function settle(
  processor: (job: Job<Data>) => Promise<unknown>,
): Promise<{ settled: unknown; released: boolean }> {
  const redlock = bench.redlock();
  const queue = bench.queue();
  let released = false;
  redlock.on("released", ({ outcome }) => (released = outcome === "released"));
  const wrapped = withLock({ redlock, key: KEY }, processor);
  const job = (await queue.add("charge", { account: "a" })) as Job<Data>;
  try {
    return { settled: { returned: await wrapped(job, "token") }, released };
  } catch (error) {
    return { settled: { threw: error }, released };
  }
}

function nothing(): string {
  throw new TypeError("no account");
}
