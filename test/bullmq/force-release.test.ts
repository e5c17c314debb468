import type { Job } from "bullmq";
import { expect, test } from "vitest";
import { LockLostError, withLock } from "../../src/index.ts";
import { redisClient } from "../support/redis.ts";
import { aborted, ends, Gate, next, useBench } from "./support.ts";

const bench = useBench();
const KEY = "account:{{data.account}}";

test("a job whose lock is removed by force loses it, and its parked successor runs", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const started = new Gate();
  const reasons: unknown[] = [];
  const worker = bench.worker(
    withLock({ redlock, key: KEY }, async (job: Job, _token, signal, lock) => {
      if (job.name !== "hangs" || reasons.length > 0) return `${job.name} ran`;
      started.open();
      reasons.push(await aborted(signal), lock.held);
      return "too late";
    }),
    { concurrency: 2 },
  );
  const done = ends(worker, 2);
  const first = await queue.add("hangs", { account: "a" });
  await started.opened;
  const parked = next(redlock, "parked");
  await queue.add("next", { account: "a" });
  await parked;

  const operator = bench.redlock();
  const reason = "an operator on db-1: it hangs";
  expect(await operator.forceRelease("account:a", { reason })).toMatchObject({
    outcome: "released",
    holder: { job: { queue: "invoices", id: first.id } },
  });

  // The job that was removed from its lock is delayed without an attempt, and runs again.
  expect((await done).map(({ result }) => result)).toEqual(
    expect.arrayContaining(["next ran", "hangs ran"]),
  );
  expect(reasons).toEqual([expect.any(LockLostError), false]);
  expect(reasons[0]).toMatchObject({ reason: "taken" });
  const { logs } = await queue.getJobLogs(first.id!);
  expect(logs[0]).toContain(`; removed by force (${reason}); delayed without using an attempt`);
  // No master holds anything of either.
  await expect
    .poll(
      async () =>
        await Promise.all(
          bench.masterUrls.map(async (url) => await redisClient(url).get("redlock:account:a")),
        ),
    )
    .toEqual([null, null, null]);
});
