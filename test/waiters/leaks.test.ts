import type { JobsOptions } from "bullmq";
import { queryObjects } from "node:v8";
import { expect, test } from "vitest";
import { withLock, type WithLockOptions } from "../../src/index.ts";
import { KeyWatcher } from "../../src/waiters/key-watcher.ts";
import { waitFor } from "../support/wait-for.ts";
import { useBench } from "../bullmq/support.ts";

const bench = useBench();

/** The watchers of keys in this process, after a garbage collection. */
function countWatchers(): number {
  return queryObjects(KeyWatcher, { format: "count" });
}

test.each<[string, Partial<WithLockOptions>, JobsOptions]>([
  ["that wait for each other", {}, {}],
  ["that keep their keys for a moment", { minHold: 150 }, {}],
  ["that are to run again in an hour", { retryOrder: "keep" }, { attempts: 2, backoff: 3_600_000 }],
])("jobs %s leave no watcher of their keys", async (_, policies, opts) => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  let runs = 0;
  const worker = bench.worker(
    withLock({ redlock, key: "account:{{data.account}}", ...policies }, async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      runs += 1;
      if (opts.attempts !== undefined) throw new Error("fails");
    }),
    { concurrency: 8 },
  );
  const accounts = opts.attempts === undefined ? 5 : 20;
  const jobs = Array.from({ length: 20 }, (_, index) => ({
    name: "charge",
    data: { account: index % accounts },
    opts,
  }));
  await queue.addBulk(jobs);

  await waitFor(() => expect(runs).toBe(jobs.length));
  await waitFor(() => expect(countWatchers()).toBe(0));
  expect(worker.isRunning()).toBe(true);
});
