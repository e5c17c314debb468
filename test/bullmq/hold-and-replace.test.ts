import type { Job } from "bullmq";
import { describe, expect, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { redisClient } from "../support/redis.ts";
import { aborted, ends, Gate, next, QUEUE, useBench } from "./support.ts";

interface Data {
  account: string;
  index: number;
}

const bench = useBench();
const KEY = "account:{{data.account}}";

function jobs(count: number): { name: string; data: Data }[] {
  return Array.from({ length: count }, (_, index) => ({
    name: "charge",
    data: { account: "a", index },
  }));
}

describe('onConflict "keepLatest"', () => {
  test.each([QUEUE, "two words"])(
    "runs only the newest of the waiting jobs of %s",
    async (name) => {
      const redlock = bench.redlock({ ttl: 10_000 });
      const lock = await redlock.acquire("account:a");
      const worker = bench.worker(
        withLock({ redlock, key: KEY, onConflict: "keepLatest" }, async () => "ran"),
        { concurrency: 5, name },
      );
      let superseded = 0;
      const settled = new Gate();
      worker.on("completed", () => ++superseded === 4 && settled.open());
      const done = ends(worker, 5);

      await bench.queue(name).addBulk(jobs(5));
      await settled.opened;
      await lock.release();

      const ended = await done;
      const results = ended.toSorted((a, b) => indexOf(a.job) - indexOf(b.job));
      expect(results.map(({ result }) => result)).toEqual([
        ...Array.from({ length: 4 }, () => ({
          skipped: true,
          reason: "superseded",
          key: "account:a",
          holder: expect.stringMatching(new RegExp(`^bull:${name}:\\d+$`)) as string,
        })),
        "ran",
      ]);
    },
  );
});

describe('onConflict "cancelInProgress"', () => {
  test("stops an older holder in another program for good, and takes the key", async () => {
    const queue = bench.queue();
    const started = new Gate();
    const options = { key: KEY, onConflict: "cancelInProgress" as const };
    const process = async (job: Job<Data>, _: string, signal: AbortSignal): Promise<string> => {
      if (job.data.index === 1) return "ran";
      started.open();
      throw await aborted(signal);
    };
    const redlocks = [bench.redlock({ ttl: 10_000 }), bench.redlock({ ttl: 10_000 })];
    const [first, second] = redlocks.map((redlock) =>
      bench.worker(withLock({ redlock, ...options }, process), { autorun: false }),
    );
    const cancelled = ends(first!, 1);
    const ran = ends(second!, 1);
    void first!.run();
    const [older, newer] = jobs(2);
    await queue.add(older!.name, older!.data, { attempts: 3 });
    await started.opened;
    void second!.run();
    await first!.pause(true);
    const late = await queue.add(newer!.name, newer!.data);

    expect((await cancelled)[0]!.error).toMatchObject({
      name: "UnrecoverableError",
      code: "ERR_REDLOCK_CANCELLED",
      message: expect.stringContaining(`cancelled by bull:invoices:${late.id}`) as string,
    });
    expect((await ran)[0]!.result).toBe("ran");
  });
});

describe("minHold", () => {
  test("keeps the key after a job that succeeded, and wakes the next one in time", async () => {
    const redlock = bench.redlock({ ttl: 10_000 });
    const starts: number[] = [];
    const worker = bench.worker(
      withLock(
        { redlock, key: KEY, minHold: 400 },
        async () => void starts.push(performance.now()),
      ),
      { concurrency: 2 },
    );
    const done = ends(worker, 2);

    await bench.queue().addBulk(jobs(2));
    await done;

    const [first, second] = starts as [number, number];
    expect(second - first).toBeGreaterThanOrEqual(390);
    expect(second - first).toBeLessThan(2_500);
  });

  test("does not keep it after a failure", async () => {
    const redlock = bench.redlock({ ttl: 10_000 });
    const released = next(redlock, "released");
    const worker = bench.worker(
      withLock({ redlock, key: KEY, minHold: 5_000 }, async () => {
        throw new Error("declined");
      }),
    );
    const done = ends(worker, 1);

    await bench.queue().add("charge", { account: "a", index: 0 });
    await done;

    await released;
    const client = redisClient(bench.masterUrls[0]!);
    await expect.poll(async () => await client.exists("redlock:account:a")).toBe(0);
  });
});

test("maxHold aborts the signal and fails the job, without delaying it", async () => {
  const redlock = bench.redlock({ ttl: 10_000 });
  const worker = bench.worker(
    withLock({ redlock, key: KEY, maxHold: 100 }, async (_: Job, __, signal) => {
      throw await aborted(signal);
    }),
  );
  const done = ends(worker, 1);

  await bench.queue().add("charge", { account: "a", index: 0 });

  expect((await done)[0]!.error).toMatchObject({
    code: "ERR_REDLOCK_LOST",
    reason: "held-too-long",
  });
});

function indexOf(job: Job): number {
  return (job.data as Data).index;
}
