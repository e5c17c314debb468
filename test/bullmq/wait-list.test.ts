import { type Job, type Queue, Worker } from "bullmq";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Redlock, withLock } from "../../src/index.ts";
import { RESERVATION } from "../../src/waiters/reservations-lua.ts";
import { countCalls } from "../hazards/support.ts";
import { redisClient } from "../support/redis.ts";
import { Gate, QUEUE, useBench } from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

interface Data {
  account: string;
  index: number;
}

const bench = useBench();
const KEY = "account:{{data.account}}";
/** Allowance for a loaded machine, in ms. */
const LOAD = 1_500;

/** Jobs of one queue that are parked behind the holder of a key. */
interface Parked {
  readonly queue: Queue<Data>;
  readonly worker: Worker;
  readonly jobs: readonly Job<Data>[];
  /** The jobs that have run, in order. */
  readonly runs: number[];
}

/** Parks `count` jobs; the worker has a slot for each, and two more. */
async function parkJob(redlock: Redlock, count: number, name = QUEUE, limit = 1): Promise<Parked> {
  const queue = bench.queue(name);
  const runs: number[] = [];
  const worker = bench.worker(
    withLock({ redlock, key: KEY, limit }, async ({ data, attemptsMade, opts }: Job<Data>) => {
      if (attemptsMade === 0 && opts.jobId?.startsWith("failing") === true) {
        throw new Error("fails the first time");
      }
      await Promise.resolve(runs.push(data.index));
    }),
    { concurrency: count + 2, name, limiter: { max: 1_000, duration: 1_000 } },
  );
  const parks = count > 0 ? nextParks(redlock, count, name) : undefined;
  const jobs = await queue.addBulk(
    Array.from({ length: count }, (_, index) => ({
      name: "charge",
      data: { account: "hot", index },
      opts: { deduplication: { id: `${name} ${index}`, replace: true } },
    })),
  );
  await parks;
  return { queue, worker, jobs, runs };
}

/** Resolves when so many jobs of the queue have been parked. */
async function nextParks(redlock: Redlock, count: number, name = QUEUE): Promise<void> {
  const all = new Gate();
  let parks = 0;
  const listener = ({ job }: { job: string }): void => {
    if (job.includes(`:${name}:`) && ++parks === count) all.open();
  };
  redlock.on("warning", () => {}).on("parked", listener);
  await all.opened;
  redlock.off("parked", listener);
}

/** Releases, and returns how many ms pass until `done` has `count` entries. */
async function timeToRun(release: () => Promise<unknown>, done: unknown[], count: number) {
  const releasedAt = performance.now();
  await release();
  await expect.poll(() => done.length, { timeout: 20_000, interval: 10 }).toBe(count);
  return performance.now() - releasedAt;
}

/** Wait lists and reservations that are left on the masters. */
async function leftovers(): Promise<string[]> {
  const lists = await Promise.all(bench.masterUrls.map((url) => redisClient(url).keys("*")));
  return lists.flat().filter((name) => /@waiters?:|@reserved:/.test(name));
}

describe("the waiters of a key run in order when the first of them", () => {
  test("was removed", async () => {
    const redlock = bench.redlock({ ttl: 10_000 });
    const lock = await redlock.acquire("account:hot");
    const { jobs, runs } = await parkJob(redlock, 3);

    await jobs[0]!.remove();

    expect(await timeToRun(() => lock.release(), runs, 2)).toBeLessThan(LOAD);
    expect(runs).toEqual([1, 2]);
    await expect.poll(leftovers).toEqual([]);
  });

  test("and many others were removed, in few requests", async () => {
    const redlock = bench.redlock({ ttl: 10_000 });
    const lock = await redlock.acquire("account:hot");
    const { queue, runs } = await parkJob(redlock, 400);
    await queue.drain(true);
    const parks = nextParks(redlock, 1);
    await queue.add("charge", { account: "hot", index: 400 });
    await parks;
    const master = redisClient(bench.masterUrls[0]!);
    const before = await countCalls(master, "evalsha");

    expect(await timeToRun(() => lock.release(), runs, 1)).toBeLessThan(LOAD);
    // Four at a time would take a hundred.
    expect((await countCalls(master, "evalsha")) - before).toBeLessThan(30);
    await expect.poll(leftovers).toEqual([]);
  });

  test("was replaced by deduplication", async () => {
    const redlock = bench.redlock({ ttl: 10_000 });
    const lock = await redlock.acquire("account:hot");
    const { queue, jobs, runs } = await parkJob(redlock, 3);

    const again = nextParks(redlock, 1);
    const { deduplication } = jobs[0]!.opts;
    await queue.add("charge", { account: "hot", index: 9 }, { deduplication: deduplication! });
    await again;
    expect(await queue.getJob(jobs[0]!.id!)).toBeUndefined();

    expect(await timeToRun(() => lock.release(), runs, 3)).toBeLessThan(LOAD);
    expect(runs).toEqual([1, 2, 9]);
    await expect.poll(leftovers).toEqual([]);
  });

  test("had failed, and was retried by hand: at its old position", async () => {
    const redlock = bench.redlock({ ttl: 10_000 });
    const first = await redlock.acquire("account:hot");
    const { queue, worker, runs } = await parkJob(redlock, 0);
    const failed = new Gate<Job<Data>>();
    worker.on("failed", (job) => failed.open(job as Job<Data>));
    await nextParksOf(redlock, () =>
      queue.add("charge", { account: "hot", index: 0 }, { jobId: "failing" }),
    );
    await first.release();
    const job = await failed.opened;

    const lock = await redlock.acquire("account:hot", { waitTimeout: 5_000 });
    await nextParksOf(redlock, () => queue.add("charge", { account: "hot", index: 1 }));
    await nextParksOf(redlock, () => job.retry("failed", { resetAttemptsStarted: true }));

    expect(await timeToRun(() => lock.release(), runs, 2)).toBeLessThan(LOAD);
    expect(runs).toEqual([0, 1]);
    await expect.poll(leftovers).toEqual([]);
  });

  test("and all others were promoted by hand: they are parked again, at their positions", async () => {
    const redlock = bench.redlock({ ttl: 10_000 });
    const lock = await redlock.acquire("account:hot");
    const { queue, runs } = await parkJob(redlock, 4);

    await nextParksOf(redlock, () => queue.promoteJobs(), 4);

    expect(await timeToRun(() => lock.release(), runs, 4)).toBeLessThan(LOAD);
    expect(runs).toEqual([0, 1, 2, 3]);
    await expect.poll(leftovers).toEqual([]);
  });

  test("was taken up by a worker that died: after one reservation", async () => {
    const redlock = bench.redlock({ ttl: 10_000 });
    const lock = await redlock.acquire("account:hot");
    const { worker, runs } = await parkJob(redlock, 3);
    await worker.pause();
    const dead = new Worker(QUEUE, null, { connection: { url: bench.queueUrl } });
    onTestFinished(async () => await dead.close(true));
    const run = timeToRun(() => lock.release(), runs, 2);
    const taken = await waitFor(
      async () => {
        const job = (await dead.getNextJob("a token")) as Job<Data> | undefined;
        expect(job).toBeDefined();
        return job;
      },
      { timeout: RESERVATION, interval: 10 },
    );
    expect(taken?.data.index).toBe(0);
    void worker.resume();

    expect(await run).toBeLessThan(RESERVATION + LOAD);
    expect(runs).toEqual([1, 2]);
  });
});

/** A disturbance of a queue, and how to undo it. */
interface Trouble {
  readonly what: string;
  readonly act: (parked: Parked) => Promise<unknown>;
  readonly undo?: (parked: Parked) => Promise<unknown>;
  /** How long it lasts after that, in ms. */
  readonly lasts?: number;
  /** How many milliseconds it costs the others at most. */
  readonly costs: number;
}

/** Longer than a reservation. */
const LIMIT = RESERVATION + 1_500;

const TROUBLES: readonly Trouble[] = [
  { what: "drained", act: async ({ queue }) => await queue.drain(true), costs: 0 },
  {
    what: "obliterated",
    act: async ({ queue }) => await queue.obliterate({ force: true }),
    costs: 0,
  },
  {
    what: "paused",
    act: async ({ queue }) => await queue.pause(),
    undo: async ({ queue }) => await queue.resume(),
    costs: RESERVATION,
  },
  {
    what: "rate limited",
    act: async ({ queue }) => await queue.rateLimit(LIMIT),
    undo: async () => {},
    lasts: LIMIT,
    costs: RESERVATION,
  },
  {
    what: "without workers",
    act: async ({ worker }) => await worker.close(),
    costs: RESERVATION,
  },
];

describe.each(TROUBLES)("a queue that is $what", ({ act, undo, lasts = 0, costs }) => {
  test.each(["the same program", "another program"])(
    "costs the jobs of another queue, served by %s, one reservation at most",
    async (where) => {
      const redlock = bench.redlock({ ttl: 10_000 });
      const lock = await redlock.acquire("account:hot");
      const troubled = await parkJob(redlock, 3);
      const other = where === "the same program" ? redlock : bench.redlock({ ttl: 10_000 });
      const { runs } = await parkJob(other, 5, "refunds");
      await act(troubled);

      expect(await timeToRun(() => lock.release(), runs, 5)).toBeLessThan(costs + LOAD);
      expect(runs).toEqual([0, 1, 2, 3, 4]);
      if (undo === undefined) return;
      expect(await timeToRun(async () => await undo(troubled), troubled.runs, 3)).toBeLessThan(
        lasts + LOAD,
      );
      await expect.poll(leftovers).toEqual([]);
    },
  );
});

// The reservations of both slots expire together: in some runs each is offered to the waiter of the other one.
test.each([1, 2, 3])("a paused queue costs one reservation of two slots: run %i", async () => {
  const redlock = bench.redlock({ ttl: 10_000 });
  const locks = await Promise.all([0, 1].map(() => redlock.acquire("account:hot", { limit: 2 })));
  const paused = await parkJob(redlock, 3, QUEUE, 2);
  const { runs } = await parkJob(redlock, 5, "refunds", 2);
  await paused.queue.pause();

  const release = () => Promise.all(locks.map((lock) => lock.release()));
  expect(await timeToRun(release, runs, 5)).toBeLessThan(RESERVATION + LOAD);
  expect(new Set(runs)).toEqual(new Set([0, 1, 2, 3, 4]));
});

test("a paused queue costs others one reservation, also with hundreds of jobs", async () => {
  const redlock = bench.redlock({ ttl: 30_000 });
  const lock = await redlock.acquire("account:hot");
  const paused = await parkJob(redlock, 600);
  const { runs } = await parkJob(redlock, 5, "refunds");
  await paused.queue.pause();

  expect(await timeToRun(() => lock.release(), runs, 5)).toBeLessThan(RESERVATION + LOAD);
  expect(runs).toEqual([0, 1, 2, 3, 4]);
});

test("a queue whose last process ends in a hand-over costs others one reservation", async () => {
  const redlock = bench.redlock({ ttl: 10_000 });
  const lock = await redlock.acquire("account:hot");
  const { worker, runs: own } = await parkJob(redlock, 3);
  const { runs } = await parkJob(bench.redlock({ ttl: 10_000 }), 5, "refunds");
  await worker.pause();
  const end = async (): Promise<void> => {
    await lock.release();
    await worker.close();
    // It has woken its first job, and can pass the reservation on no more.
    await redlock.close();
  };

  expect(await timeToRun(end, runs, 5)).toBeLessThan(RESERVATION + LOAD);
  expect([own, runs]).toEqual([[], [0, 1, 2, 3, 4]]);
});

/** Runs an action that parks so many jobs, and resolves when they are parked. */
async function nextParksOf(redlock: Redlock, act: () => Promise<unknown>, count = 1) {
  const parks = nextParks(redlock, count);
  await act();
  await parks;
}
