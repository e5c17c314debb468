import type { Job } from "bullmq";
import { describe, expect, onTestFinished, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { useBench, ends, Gate } from "../bullmq/support.ts";
import { makeSteps, startWorker } from "./worker-process.ts";

interface Data {
  version: number;
}

const bench = useBench();
const KEY = "document:7";
const POLICIES = ["keepLatest", "cancelInProgress"] as const;

/** Milliseconds since 1970 of the first version. */
const FIRST = Date.UTC(2026, 0, 1);

function superseded(): object {
  return {
    skipped: true,
    reason: "superseded",
    key: KEY,
    holder: expect.stringMatching(/^bull:invoices:\d+$/) as string,
  };
}

describe.each(POLICIES)("%s", (onConflict) => {
  test("completes an older job as superseded while a newer one runs, and after it", async () => {
    const queue = bench.queue();
    const started = new Gate();
    const finish = new Gate();
    const runs: number[] = [];
    const process = async ({ data }: Job<Data>): Promise<string> => {
      runs.push(data.version);
      if (data.version === 2) {
        started.open();
        await finish.opened;
      }
      return "ran";
    };
    const [first, second] = [bench.redlock({ ttl: 10_000 }), bench.redlock({ ttl: 10_000 })].map(
      (redlock) =>
        bench.worker(withLock({ redlock, key: KEY, onConflict }, process), { autorun: false }),
    );
    // A worker closes when its jobs have ended.
    onTestFinished(() => finish.open());
    const ran = ends(first!, 1);
    const skipped = ends(second!, 2);
    const add = async (version: number): Promise<unknown> =>
      await queue.add("save", { version }, { timestamp: FIRST + version });

    void first!.run();
    await add(2);
    await started.opened;
    await first!.pause(true);
    void second!.run();
    const during = new Gate();
    second!.once("completed", () => during.open());
    await add(1);
    await during.opened;
    finish.open();
    expect((await ran)[0]!.result).toBe("ran");
    await add(0);

    expect((await skipped).map(({ result }) => result)).toEqual([superseded(), superseded()]);
    expect(runs).toEqual([2]);
  });

  /** Two jobs, of which the one with the given version fails. */
  function failAt(version: number) {
    const queue = bench.queue();
    const redlock = bench.redlock({ ttl: 10_000 });
    const runs: number[] = [];
    const worker = bench.worker(
      withLock({ redlock, key: KEY, onConflict }, async ({ data }: Job<Data>): Promise<unknown> => {
        runs.push(data.version);
        if (data.version === version) throw new Error("fails");
        return "ran";
      }),
      { autorun: false },
    );
    const failed = new Gate();
    worker.once("failed", () => failed.open());
    return { queue, worker, runs, failed, done: ends(worker, 2) };
  }

  test("completes the retry of a job as superseded when a newer one has succeeded", async () => {
    const { queue, worker, runs, failed, done } = failAt(1);

    void worker.run();
    await queue.add("save", { version: 1 }, { attempts: 2, backoff: 300, timestamp: FIRST + 1 });
    await failed.opened;
    await queue.add("save", { version: 2 }, { timestamp: FIRST + 2 });

    expect((await done).map(({ result }) => result)).toEqual(["ran", superseded()]);
    expect(runs).toEqual([1, 2]);
  });

  test("runs an older job after a newer one that has failed for good", async () => {
    const { queue, worker, failed, done } = failAt(2);

    void worker.run();
    await queue.add("save", { version: 2 }, { timestamp: FIRST + 2 });
    await failed.opened;
    await queue.add("save", { version: 1 }, { timestamp: FIRST + 1 });

    expect((await done)[1]!.result).toBe("ran");
  });

  test("runs a job again that has succeeded, and jobs after one that was promoted early", async () => {
    const queue = bench.queue();
    const redlock = bench.redlock({ ttl: 10_000 });
    const worker = bench.worker(withLock({ redlock, key: KEY, onConflict }, async () => "ran"));
    const done = ends(worker, 3);
    const first = await queue.add("save", { version: 1 }, { delay: 3_600_000 });
    const next = async (): Promise<unknown> =>
      await new Promise((resolve) => {
        worker.once("completed", resolve);
      });
    const ran = next();
    await first.promote();
    await ran;
    const ranAgain = next();
    await (await queue.getJob(first.id!))!.retry("completed");
    await ranAgain;
    await queue.add("save", { version: 2 });

    expect((await done).map(({ result }) => result)).toEqual(["ran", "ran", "ran"]);
  });

  test("runs the newest of three versions last, for 120 documents in two processes", async () => {
    const steps = await makeSteps(bench.queueUrl);
    const task = {
      queueUrl: bench.queueUrl,
      masterUrls: bench.masterUrls,
      concurrency: 10,
      policies: { onConflict },
    };
    await Promise.all([startWorker(task), startWorker(task)]);
    const documents = Array.from({ length: 120 }, (_, index) => String(index));

    const added = await steps.queue.addBulk(
      documents.flatMap((entity) =>
        [0, 1, 2].map((index) => ({
          name: "save",
          data: { entity, index, ms: 5 },
          opts: { timestamp: FIRST + index },
        })),
      ),
    );
    await Promise.allSettled([steps.ended(added)]);
    await expect
      .poll(async () => await steps.queue.getJobCountByTypes("active", "waiting", "delayed"))
      .toBe(0);

    const last = await Promise.all(
      documents.map(async (entity) => (await steps.journal("succeeded", entity)).at(-1)),
    );
    expect(last.filter((index) => index !== 2)).toEqual([]);
  });
});
