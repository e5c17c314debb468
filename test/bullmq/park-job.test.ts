import type { Job } from "bullmq";
import { describe, expect, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { redisClient, useRedisNodes } from "../support/redis.ts";
import { ends, errorsOf, Gate, next, useBench } from "./support.ts";

interface Data {
  account: string;
  index: number;
}

const bench = useBench();
const elsewhere = useRedisNodes(1);
const KEY = "account:{{data.account}}";

const work = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function jobs(count: number, account = "hot"): { name: string; data: Data }[] {
  return Array.from({ length: count }, (_, index) => ({
    name: "charge",
    data: { account, index },
  }));
}

/** A processor that notes the order, and whether two were ever at work at once. The first one ends with `held`. */
function recorder(held: Promise<unknown> = Promise.resolve()): {
  order: number[];
  most: () => number;
  process: (job: Job<Data>) => Promise<string>;
} {
  const order: number[] = [];
  let running = 0;
  let most = 0;
  return {
    order,
    most: () => most,
    process: async (job) => {
      most = Math.max(most, ++running);
      order.push(job.data.index);
      if (order.length === 1) await held;
      await work(2);
      running -= 1;
      return "ran";
    },
  };
}

/** The keys on the masters, but for marks and guards. */
async function leftOnMasters(): Promise<string[]> {
  const lists = await Promise.all(bench.masterUrls.map((url) => redisClient(url).keys("*")));
  return lists.flat().filter((name) => !/@fence:|@(node|queues|waiting)$/.test(name));
}

describe("a hot key", () => {
  test("runs in the order of the queue, in two activations a job, and leaves no trace", async () => {
    const redlock = bench.redlock({ ttl: 10_000 });
    const queue = bench.queue();
    // The order of simultaneous requests for a free key is not promised: the others come when it is held.
    let parks = 0;
    const allWait = new Gate();
    redlock.on("parked", () => ++parks === 59 && allWait.open());
    const { order, most, process } = recorder(allWait.opened);
    const worker = bench.worker(withLock({ redlock, key: KEY }, process), { concurrency: 10 });
    const done = ends(worker, 60);
    const held = next(redlock, "acquired");

    const [first, ...others] = jobs(60);
    await queue.add(first!.name, first!.data);
    await held;
    await queue.addBulk(others);

    const ended = await done;
    expect(most()).toBe(1);
    expect(order).toEqual(Array.from({ length: 60 }, (_, index) => index));
    const states = await Promise.all(ended.map(({ job }) => queue.getJob(job.id!)));
    for (const job of states) expect(job!.attemptsStarted).toBeLessThanOrEqual(2);
    expect(states.map((job) => job!.attemptsMade)).toEqual(Array(60).fill(1));
    expect(errorsOf(worker)).toEqual([]);
    await expect.poll(leftOnMasters).toEqual([]);
  });

  test("is shared by two programs, which wake each other's jobs", async () => {
    const queue = bench.queue();
    const { order, most, process } = recorder();
    const workers = [1, 2].map(() =>
      bench.worker(withLock({ redlock: bench.redlock({ ttl: 10_000 }), key: KEY }, process), {
        concurrency: 5,
      }),
    );
    const done = new Promise<void>((resolve) => {
      let ended = 0;
      for (const worker of workers) worker.on("completed", () => ++ended === 60 && resolve());
    });

    await queue.addBulk(jobs(60));
    await done;

    expect(most()).toBe(1);
    expect(order.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, i) => i));
    await expect.poll(leftOnMasters).toEqual([]);
  });

  test.each(["the same Redis", "another Redis"])(
    "is shared by jobs of two queues, the second on %s",
    async (position) => {
      const url = position === "another Redis" ? elsewhere.urls[0]! : bench.queueUrl;
      const { most, process } = recorder();
      const connection = { url };
      const other = bench.worker(
        withLock({ redlock: bench.redlock({ ttl: 10_000 }), key: KEY }, process),
        { name: "refunds", connection, concurrency: 4 },
      );
      const worker = bench.worker(
        withLock({ redlock: bench.redlock({ ttl: 10_000 }), key: KEY }, process),
        { concurrency: 4 },
      );
      const done = Promise.all([ends(other, 15), ends(worker, 15)]);

      const { Queue } = await import("bullmq");
      const refunds = new Queue("refunds", { connection });
      await Promise.all([refunds.addBulk(jobs(15)), bench.queue().addBulk(jobs(15))]);
      await done;
      await refunds.close();

      expect(most()).toBe(1);
    },
  );
});

describe("a parked job", () => {
  test("goes ahead of the backlog of its queue when it is woken", async () => {
    const redlock = bench.redlock({ ttl: 10_000 });
    const queue = bench.queue();
    const lock = await redlock.acquire("account:hot");
    const parked = next(redlock, "parked");
    let cold = 0;
    let coldBefore = Infinity;
    const released = new Gate();
    const worker = bench.worker(
      withLock({ redlock, key: KEY }, async (job: Job<Data>) => {
        if (job.data.account === "hot") coldBefore = cold;
        else if (++cold === 20) {
          await lock.release();
          cold = 0;
          released.open();
        }
        await work(1);
      }),
    );
    const done = ends(worker, 1 + 200);

    await queue.add("charge", { account: "hot", index: 0 });
    await parked;
    await queue.addBulk(
      Array.from({ length: 200 }, (_, index) => ({
        name: "charge",
        data: { account: `cold ${index}`, index },
      })),
    );
    await released.opened;
    await done;

    expect(coldBefore).toBeLessThan(20);
  });

  test("keeps the priority that it was given while it was parked", async () => {
    const redlock = bench.redlock({ ttl: 10_000 });
    const queue = bench.queue();
    const lock = await redlock.acquire("account:hot");
    const parked = next(redlock, "parked");
    const worker = bench.worker(withLock({ redlock, key: KEY }, async () => "ran"));
    const done = ends(worker, 1);

    const job = await queue.add("charge", { account: "hot", index: 0 }, { priority: 3 });
    await parked;
    await job.changePriority({ priority: 7 });
    await lock.release();
    await done;

    expect((await queue.getJob(job.id!))!.priority).toBe(7);
  });

  test.each([
    ["removed", async (job: Job) => await job.remove()],
    ["completed by hand", async (job: Job) => await job.remove()],
    ["promoted by hand", async (job: Job) => await job.promote()],
  ])("that is %s does not hold up those behind it", async (_, act) => {
    const redlock = bench.redlock({ ttl: 10_000 });
    const queue = bench.queue();
    const lock = await redlock.acquire("account:hot");
    let parks = 0;
    const allParked = new Gate();
    redlock.on("parked", () => ++parks === 3 && allParked.open());
    const { order, process } = recorder();
    const worker = bench.worker(withLock({ redlock, key: KEY }, process), { concurrency: 3 });
    const last = new Gate();
    worker.on("completed", ({ data }: Job<Data>) => data.index === 2 && last.open());
    const [first] = await queue.addBulk(jobs(3));

    await allParked.opened;
    await act(first!);
    const releasedAt = performance.now();
    await lock.release();
    await last.opened;

    expect(order.filter((index) => index > 0)).toEqual([1, 2]);
    expect(performance.now() - releasedAt).toBeLessThan(1_500);
  });

  test("of a paused queue lets other queues pass, and runs when its queue goes on", async () => {
    const redlock = bench.redlock({ ttl: 10_000 });
    const queue = bench.queue();
    const lock = await redlock.acquire("account:hot");
    let parks = 0;
    const allParked = new Gate();
    redlock.on("parked", () => ++parks === 10 && allParked.open());
    const { process } = recorder();
    const options = { concurrency: 5 };
    const paused = bench.worker(withLock({ redlock, key: KEY }, process), options);
    const open = bench.worker(withLock({ redlock, key: KEY }, process), {
      ...options,
      name: "refunds",
    });
    const [pausedDone, openDone] = [ends(paused, 5), ends(open, 5)];
    await queue.addBulk(jobs(5));
    await expect.poll(() => parks).toBe(5);
    await bench.queue("refunds").addBulk(jobs(5));
    await allParked.opened;

    await queue.pause();
    const releasedAt = performance.now();
    await lock.release();
    await openDone;
    // One reservation expires, not one for each of the five.
    expect(performance.now() - releasedAt).toBeLessThan(5_000);

    await queue.resume();
    expect((await pausedDone).map(({ result }) => result)).toEqual(Array(5).fill("ran"));
  });

  test("is woken before its worker closes if its key has become free", async () => {
    const queue = bench.queue();
    const holder = bench.redlock({ ttl: 10_000 });
    const closing = bench.redlock({ ttl: 10_000 });
    const lock = await holder.acquire("account:hot");
    // The key is free before the job is parked.
    const onConflict = async (): Promise<"delay"> => {
      await lock.release();
      return "delay";
    };
    const worker = bench.worker(
      withLock({ redlock: closing, key: KEY, onConflict }, async () => "ran"),
    );
    const closed = new Promise<void>((resolve) => {
      closing.once("parked", () => void worker.close().then(resolve));
    });
    await queue.add("charge", { account: "hot", index: 0 });
    await closed;
    await closing.close();
    expect(await queue.getJobCounts("waiting", "delayed")).toEqual({ waiting: 1, delayed: 0 });
  });

  test("is not forgotten when its program closes while another one has the key", async () => {
    const queue = bench.queue();
    const lock = await bench.redlock({ ttl: 10_000 }).acquire("account:hot");
    const closing = bench.redlock({ ttl: 10_000 });
    const parked = next(closing, "parked");
    const first = bench.worker(withLock({ redlock: closing, key: KEY }, async () => "first"));
    await queue.add("charge", { account: "hot", index: 0 });
    await parked;
    const closedAt = performance.now();
    await first.close();
    await closing.close();
    expect(performance.now() - closedAt).toBeLessThan(1_000);

    // It has no parked job of its own, and so no interest in the key until it comes across it.
    const redlock = bench.redlock({ ttl: 10_000 });
    const second = bench.worker(withLock({ redlock, key: KEY }, async () => "second"));
    const done = ends(second, 2);
    await queue.add("charge", { account: "hot", index: 1 });
    await next(redlock, "parked");
    await lock.release();

    expect((await done).map(({ job }) => (job.data as Data).index)).toEqual([0, 1]);
  });
});

test("jobs with several keys in every order neither block nor starve each other", async () => {
  const redlock = bench.redlock({ ttl: 5_000 });
  const queue = bench.queue();
  const held = new Set<string>();
  let clashes = 0;
  const pairs = ["ab", "ba", "bc", "ca", "ac", "cb", "abc", "a", "b", "c"];
  const worker = bench.worker(
    withLock(
      { redlock, key: (job: Job<{ keys: string }>) => job.data.keys.split("") },
      async (job: Job<{ keys: string }>) => {
        for (const key of job.data.keys) {
          if (held.has(key)) clashes += 1;
          held.add(key);
        }
        await work(3);
        for (const key of job.data.keys) held.delete(key);
      },
    ),
    { concurrency: 8 },
  );
  const done = ends(worker, 60);

  await queue.addBulk(
    Array.from({ length: 60 }, (_, index) => ({
      name: "j",
      data: { keys: pairs[index % pairs.length]! },
    })),
  );

  await done;
  expect(clashes).toBe(0);
  await expect.poll(leftOnMasters).toEqual([]);
});
