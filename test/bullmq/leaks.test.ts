import type { Job } from "bullmq";
import { EventEmitter, getEventListeners } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { redisClient } from "../support/redis.ts";
import { useBench } from "./support.ts";

const bench = useBench();

const JOBS = 10_000;
const SLOTS = 50;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function timers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
}

/** A call to a master that is slower than the quorum keeps its deadline until it is answered; no timer here counts. */
async function timersEnd(expected: number): Promise<void> {
  for (const end = performance.now() + 5_000; timers() > expected && performance.now() < end;) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  expect(timers()).toBeLessThanOrEqual(expected);
}

test("10,000 jobs leave no listener, no timer, no lock and no memory behind", async () => {
  const redlock = bench.redlock({ ttl: 10_000 });
  await redlock.isLocked("account:0");
  const cancel = new AbortController();
  const worker = Object.assign(new EventEmitter(), { opts: {}, qualifiedName: "bull:invoices" });
  const kept: WeakRef<object>[] = [];
  const wrapped = withLock(
    { redlock, key: "account:{{data.slot}}" },
    async (...given: unknown[]) => {
      for (const thing of given) if (typeof thing === "object") kept.push(new WeakRef(thing!));
      return await Promise.resolve("done");
    },
  );
  const before = timers();

  let next = 0;
  const slot = async (index: number): Promise<void> => {
    while (next < JOBS) {
      const job = {
        id: String(next++),
        queueName: "invoices",
        queue: worker,
        data: { slot: index },
        attemptsMade: 0,
        timestamp: 1,
        opts: {},
        extendLock: async () => await Promise.resolve(1),
      };
      await wrapped(job as unknown as Job, "token", cancel.signal);
    }
  };
  await Promise.all(Array.from({ length: SLOTS }, (_, index) => slot(index)));

  expect(kept).toHaveLength(3 * JOBS);
  expect(getEventListeners(cancel.signal, "abort")).toEqual([]);
  expect(worker.listenerCount("closing")).toBe(1);
  await timersEnd(before);
  const locks = await redisClient(bench.masterUrls[0]!).keys("redlock:account:*");
  expect(locks).toEqual([]);
  await expect
    .poll(() => {
      collectGarbage();
      return kept.filter((reference) => reference.deref() !== undefined).length;
    })
    .toBeLessThan(JOBS / 100);
});
