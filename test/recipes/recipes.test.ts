import { FlowProducer, Job, QueueEvents } from "bullmq";
import { setTimeout as pass } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import {
  changePriority,
  type Lock,
  type LockConflictError,
  type Redlock,
  withLock,
} from "../../src/index.ts";
import { ends, Gate, useBench } from "../bullmq/support.ts";
import { waitFor } from "../support/wait-for.ts";

interface Data {
  tenant: string;
  step?: number;
}

/** The recipes of docs/ordering.md, in its order. */
const bench = useBench();
const KEY = "tenant:{{data.tenant}}";

/** Resolves when so many jobs have been parked or delayed since the call. */
function parked(redlock: Redlock, count: number): Promise<void> {
  return new Promise((resolve) => {
    redlock.on("parked", () => {
      count -= 1;
      if (count === 0) resolve();
    });
  });
}

/** A tenant that is paused, and a worker for so many jobs of it, which writes down their steps. */
async function pauseTenant(count: number) {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const pause = await redlock.acquire("tenant:7");
  const started: (number | undefined)[] = [];
  const worker = bench.worker(
    withLock({ redlock, key: KEY }, async ({ data }: Job<Data>) => void started.push(data.step)),
  );
  const [done, waiting] = [ends(worker, count), parked(redlock, count)];
  return { redlock, queue, pause, started, done, waiting };
}

test("each entity in the order of its queue", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const started: Record<string, (number | undefined)[]> = { a: [], b: [] };
  const worker = bench.worker(
    withLock({ redlock, key: KEY, order: "strict" }, async ({ data }: Job<Data>) => {
      started[data.tenant]!.push(data.step);
    }),
    { concurrency: 5 },
  );
  const done = ends(worker, 20);
  const steps = Array.from({ length: 10 }, (_, step) => step);

  await queue.addBulk(
    steps.flatMap((step) => ["a", "b"].map((tenant) => ({ name: "step", data: { tenant, step } }))),
  );
  await done;

  expect(started).toEqual({ a: steps, b: steps });
});

test("waiting jobs in the order of their events", async () => {
  const { queue, pause, started, done, waiting } = await pauseTenant(3);
  const noon = Date.now() - 60_000;

  for (const step of [3, 1, 2]) {
    await queue.add("sync", { tenant: "7", step }, { timestamp: noon + step });
  }
  await waiting;
  await pause.release();
  await done;

  expect(started).toEqual([1, 2, 3]);
});

test("one of several identical jobs runs, and all have its result", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const events = new QueueEvents(queue.name, { connection: { url: bench.queueUrl } });
  onTestFinished(async () => await events.close());
  await events.waitUntilReady();
  const conflicts = new Gate();
  let seen = 0;
  redlock.on("conflict", () => {
    if (++seen === 2) conflicts.open();
  });
  let runs = 0;

  async function resultOfHolder(_job: Job, { holder }: LockConflictError): Promise<unknown> {
    if (holder?.job?.queue !== queue.name) throw new Error("no job of this queue holds the key");
    const first = await Job.fromId(queue, holder.job.id);
    if (first === undefined) throw new Error("the job that held the key was removed");
    return await first.waitUntilFinished(events, 60_000);
  }
  const worker = bench.worker(
    withLock(
      { redlock, key: KEY, onConflict: "skip", skipResult: resultOfHolder },
      async (_job: Job<Data>) => {
        runs += 1;
        await conflicts.opened;
        return { report: 42 };
      },
    ),
    { concurrency: 3 },
  );
  const done = ends(worker, 3);

  await queue.addBulk(Array.from({ length: 3 }, () => ({ name: "report", data: { tenant: "7" } })));

  expect((await done).map(({ result }) => result)).toEqual(
    Array.from({ length: 3 }, () => ({ report: 42 })),
  );
  expect(runs).toBe(1);
});

test("at most one run in an interval", async () => {
  const redlock = bench.redlock({ maxTtl: 60_000 });
  const queue = bench.queue();
  const worker = bench.worker(
    withLock(
      { redlock, key: KEY, onConflict: "skip", minHold: 60_000 },
      async (_job: Job<Data>): Promise<unknown> => "ran",
    ),
  );
  for (const result of ["ran", { skipped: true, reason: "conflict" }]) {
    const done = ends(worker, 1);
    await queue.add("refresh", { tenant: "7" });
    const [end] = await done;
    if (typeof result === "string") expect(end!.result).toBe(result);
    else expect(end!.result).toMatchObject(result);
  }
  const { holder } = await redlock.inspect("tenant:7");
  expect(holder?.kept).toBe(true);
});

test("jobs that are too old are dropped", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const options = { redlock, key: KEY, maxAge: 60_000, onMaxWait: "skip" } as const;
  const worker = bench.worker(withLock(options, async () => "ran"));
  const done = ends(worker, 2);

  await queue.add("sync", { tenant: "7" }, { timestamp: Date.now() - 61_000 });
  await queue.add("sync", { tenant: "7" });

  expect((await done).map(({ result }) => result)).toMatchObject([{ reason: "max-age" }, "ran"]);
});

test("one tenant is paused, and the others are not", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const worker = bench.worker(
    withLock({ redlock, key: KEY }, async ({ data }: Job<Data>) => data.tenant),
  );
  const pause: Lock = await redlock.acquire("tenant:7", {
    holder: "paused by the operator",
    waitTimeout: 600_000,
  });
  const waiting = parked(redlock, 1);
  const others = ends(worker, 1);

  await queue.add("sync", { tenant: "7" });
  await queue.add("sync", { tenant: "8" });
  await waiting;
  expect((await others)[0]!.result).toBe("8");
  const done = ends(worker, 1);
  await pause.release();

  expect((await done)[0]!.result).toBe("7");
});

test("a retry inside the lock lets no other job come between", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const log: string[] = [];
  const waiting = parked(redlock, 1);

  async function attempt(step: number, tries: number): Promise<void> {
    log.push(`step ${step}, try ${tries}`);
    if (step === 0 && tries === 1) {
      await waiting;
      throw new Error("the service is busy");
    }
  }
  const worker = bench.worker(
    withLock({ redlock, key: KEY }, async ({ data }: Job<Data>, _jobToken, signal, lock) => {
      for (let tries = 1; ; tries++) {
        try {
          return await attempt(data.step ?? 0, tries);
        } catch (error) {
          if (tries === 3 || signal.aborted) throw error;
          lock.assertHeld();
        }
      }
    }),
    { concurrency: 2 },
  );
  const done = ends(worker, 2);

  await queue.add("sync", { tenant: "7", step: 0 });
  await waitFor(() => expect(log).toHaveLength(1));
  await queue.add("sync", { tenant: "7", step: 1 });
  await done;

  expect(log).toEqual(["step 0, try 1", "step 0, try 2", "step 1, try 1"]);
});

test("a waiting job is moved to the front", async () => {
  const { redlock, queue, pause, started, done, waiting } = await pauseTenant(3);
  const jobs = await queue.addBulk(
    [0, 1, 2].map((step) => ({
      name: "sync",
      data: { tenant: "7", step },
      opts: { priority: 5 },
    })),
  );
  await waiting;

  await jobs[2]!.changePriority({ priority: 1 });
  // It alone moves nothing.
  expect((await redlock.inspect("tenant:7")).waiters.map(({ priority }) => priority)).toEqual([
    5, 5, 5,
  ]);
  await changePriority(redlock, jobs[2]!, { priority: 1 });
  const [first] = (await redlock.inspect("tenant:7")).waiters;
  expect(first).toMatchObject({ job: `bull:${queue.name}:${jobs[2]!.id}`, priority: 1 });
  await pause.release();
  await done;

  expect(started).toEqual([2, 0, 1]);
});

test("the jobs of a flow share one key", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const flows = new FlowProducer({ connection: { url: bench.queueUrl } });
  onTestFinished(async () => await flows.close());
  const started: (number | undefined)[] = [];
  let running = 0;
  let most = 0;
  const worker = bench.worker(
    withLock({ redlock, key: KEY }, async ({ data }: Job<Data>) => {
      most = Math.max(most, ++running);
      started.push(data.step);
      await new Promise(setImmediate);
      running -= 1;
    }),
    { concurrency: 5 },
  );
  const done = ends(worker, 5);
  const member = (step: number) => ({
    name: "sync",
    queueName: queue.name,
    data: { tenant: "7", step },
  });

  await flows.add({ ...member(4), children: [0, 1, 2, 3].map(member) });
  await done;

  expect(most).toBe(1);
  expect(started.at(-1)).toBe(4);
});

test("several readers, or one writer alone", async () => {
  const READERS = 3;
  const redlock = bench.redlock();
  const options = { limit: READERS, waitTimeout: 20_000 };
  let [readers, most, writers] = [0, 0, 0];
  const read = async (): Promise<void> => {
    await redlock.using("doc:1", options, async () => {
      expect(writers).toBe(0);
      most = Math.max(most, (readers += 1));
      await pass(20);
      readers -= 1;
    });
  };
  const write = async (): Promise<void> => {
    await redlock.using("doc:1:writer", { waitTimeout: 20_000 }, async () => {
      const slots = await Promise.allSettled(
        Array.from({ length: READERS }, () => redlock.acquire("doc:1", options)),
      );
      try {
        expect(slots.map(({ status }) => status)).toEqual(slots.map(() => "fulfilled"));
        expect(readers).toBe(0);
        expect((writers += 1)).toBe(1);
        await pass(20);
        writers -= 1;
      } finally {
        for (const slot of slots) if (slot.status === "fulfilled") await slot.value.release();
      }
    });
  };

  await Promise.all([read(), read(), write(), read(), write(), read(), read(), read(), read()]);

  expect(most).toBe(READERS);
});
