import type { Job } from "bullmq";
import { setTimeout as work } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Redlock, withLock } from "../../src/index.ts";
import { RESERVATION } from "../../src/waiters/reservations-lua.ts";
import type { HeldLock } from "../../src/redlock/held-lock.ts";
import { redisClient } from "../support/redis.ts";
import { type Lane, TcpProxy } from "../support/tcp-proxy.ts";
import { ends, Gate, useBench } from "./support.ts";

interface Data {
  account: string;
  index: number;
}

const bench = useBench();
const KEY = "account:{{data.account}}";
const TTL = 3_000;
/** Allowance for a loaded machine, in ms. */
const LOAD = 1_500;

/** Wait lists and reservations that are left on the masters. */
async function leftovers(): Promise<string[]> {
  const lists = await Promise.all(bench.masterUrls.map((url) => redisClient(url).keys("*")));
  return lists.flat().filter((name) => /@waiters?:|@reserved:/.test(name));
}

describe("300 hand-overs of 1 ms", () => {
  test.each([
    ["one program", 1],
    ["two programs", 2],
  ])("by %s lose no wake-up and keep the order", async (_, programs) => {
    const order: number[] = [];
    let endedAt = performance.now();
    let longest = 0;
    const done = new Gate();
    // The order of simultaneous requests for a free key is not promised: the others come when it is held.
    const held = new Gate();
    const waited = new Gate();
    for (let program = 1; program <= programs; program++) {
      const redlock = bench.redlock({ ttl: 10_000 });
      // The first request arms new masters, and the next one may be served before it.
      await (await redlock.acquire("warm")).release();
      redlock.once("parked", () => waited.open());
      const processor = withLock({ redlock, key: KEY }, async ({ data }: Job<Data>) => {
        if (order.length > 0) longest = Math.max(longest, performance.now() - endedAt);
        order.push(data.index);
        held.open();
        await waited.opened;
        await work(1);
        endedAt = performance.now();
        if (order.length === 300) done.open();
      });
      bench.worker(processor, { concurrency: 2 });
    }

    const [first, ...others] = Array.from({ length: 300 }, (_, index) => ({
      name: "charge",
      data: { account: "hot", index },
    }));
    const queue = bench.queue();
    await queue.add(first!.name, first!.data);
    await held.opened;
    await queue.addBulk(others);
    await done.opened;

    // A lost wake-up is noticed when the reservation has expired.
    expect(longest).toBeLessThan(RESERVATION);
    const inOrder = Array.from({ length: 300 }, (_, index) => index);
    // Two programs may ask for the key in another order than they got their jobs.
    expect(programs === 1 ? order : order.toSorted((a, b) => a - b)).toEqual(inOrder);
    await expect.poll(leftovers).toEqual([]);
  });
});

/** Two programs that serve the same queue, one of them over connections that can be held up. */
interface Scene {
  readonly slow: Redlock;
  readonly fast: Redlock;
  readonly toQueue: TcpProxy;
  readonly toMasters: readonly TcpProxy[];
  /** The runs of the job that is parked by the slow program. */
  readonly runs: string[];
  /** Adds that job; the fast program takes none until `share`. */
  readonly add: () => Promise<unknown>;
  readonly share: () => void;
}

async function proxy(url: string): Promise<TcpProxy> {
  const started = await TcpProxy.start(Number(new URL(url).port));
  onTestFinished(async () => await started.stop());
  return started;
}

async function setUp(): Promise<Scene> {
  const toQueue = await proxy(bench.queueUrl);
  const toMasters = await Promise.all(bench.masterUrls.map(proxy));
  const options = { ttl: TTL, nodeTimeout: 500 };
  const slow = bench.redlock({ ...options, nodes: toMasters.map(({ url }) => url) });
  const fast = bench.redlock(options);
  const runs: string[] = [];
  const locked = (redlock: Redlock, name: string) =>
    withLock({ redlock, key: KEY }, async ({ data }: Job<Data>) => {
      await Promise.resolve(runs.push(name + data.account));
    });
  const queue = bench.queue();
  const fastWorker = bench.worker(locked(fast, "fast "));
  const slowWorker = bench.worker(locked(slow, "slow "), {
    connection: { url: toQueue.url },
    concurrency: 2,
    autorun: false,
  });
  await slowWorker.waitUntilReady();
  const warm = ends(fastWorker, 1);
  await queue.add("charge", { account: "cold", index: 0 });
  await warm;
  await fastWorker.pause();
  runs.length = 0;
  return {
    slow,
    fast,
    toQueue,
    toMasters,
    runs,
    add: async () => {
      void slowWorker.run();
      return await queue.add("charge", { account: "hot", index: 0 });
    },
    share: () => void fastWorker.resume(),
  };
}

/** Before the programs close, so that they can. */
function reviveWhenDone({ toQueue, toMasters }: Scene): void {
  onTestFinished(() => {
    for (const proxy of [toQueue, ...toMasters]) {
      proxy.requests.pass();
      proxy.replies.pass();
      proxy.cut();
    }
  });
}

/** The steps between which a release comes: the messages that are held up, and the event from which on. */
const WINDOWS: readonly {
  readonly where: string;
  readonly event: "conflict" | "parked";
  readonly lanes: (scene: Scene) => readonly Lane[];
}[] = [
  {
    where: "between the refusal and the parking",
    event: "conflict",
    lanes: ({ toQueue }) => [toQueue.requests],
  },
  {
    where: "between the parking and the answer to it",
    event: "conflict",
    lanes: ({ toQueue }) => [toQueue.replies],
  },
  {
    where: "between the parking and the joining",
    event: "parked",
    lanes: ({ toMasters }) => toMasters.map(({ requests }) => requests),
  },
  {
    where: "between the joining and the answer to it",
    event: "parked",
    lanes: ({ toMasters }) => toMasters.map(({ replies }) => replies),
  },
  {
    where: "between the joining on one master and on the others",
    event: "parked",
    lanes: ({ toMasters }) => toMasters.slice(1).map(({ requests }) => requests),
  },
  {
    where: "between the answer of one master and those of the others",
    event: "parked",
    lanes: ({ toMasters }) => toMasters.slice(1).map(({ replies }) => replies),
  },
];

describe.each(WINDOWS)("a release $where", ({ event, lanes }) => {
  test.each([
    ["a program that serves the queue", true],
    ["a program that does not", false],
  ])("by %s wakes the job, which runs once", async (_, serves) => {
    const scene = await setUp();
    const { slow, fast, runs } = scene;
    const holder = serves ? fast : bench.redlock({ ttl: TTL });
    const lock = (await holder.acquire("account:hot", { ttl: TTL })) as unknown as HeldLock;
    const held = new Gate();
    slow.once(event, () => {
      for (const lane of lanes(scene)) lane.hold();
      void Promise.all(lanes(scene).map(async (lane) => await lane.next())).then(() => held.open());
    });
    await scene.add();
    await held.opened;

    scene.share();
    const releasedAt = performance.now();
    await lock.release();
    await lock.handedOver;
    for (const lane of lanes(scene)) lane.pass();

    await expect.poll(() => runs).toHaveLength(1);
    expect(performance.now() - releasedAt).toBeLessThan(LOAD);
    await expect.poll(leftovers).toEqual([]);
    const queue = bench.queue();
    const counts = () => queue.getJobCounts("completed", "failed", "delayed");
    // A job runs, and completes when the masters have answered to its release.
    await expect.poll(counts).toEqual({ completed: 2, failed: 0, delayed: 0 });
    expect(runs).toHaveLength(1);
  });
});

describe("a process that dies", () => {
  test("after it parked a job, before it joins: the job is woken after its reservation", async () => {
    const scene = await setUp();
    const { slow, fast, toMasters, runs, add, share } = scene;
    reviveWhenDone(scene);
    const lock = await fast.acquire("account:hot", { ttl: TTL });
    const parked = new Gate();
    slow.once("parked", () => {
      for (const { requests } of toMasters) requests.drop();
      parked.open();
    });
    await add();
    await parked.opened;

    share();
    const releasedAt = performance.now();
    await lock.release();

    await expect.poll(() => runs).toEqual(["fast hot"]);
    expect(performance.now() - releasedAt).toBeLessThan(RESERVATION + LOAD);
    await expect.poll(leftovers).toEqual([]);
  });

  test("after a reservation, before the wake-up: the job is woken at the end of the lock", async () => {
    const scene = await setUp();
    const { slow, fast, toMasters, toQueue, runs, add, share } = scene;
    reviveWhenDone(scene);
    // It has run a job, and can wake the jobs of its queue.
    await add();
    await expect.poll(() => runs).toEqual(["slow hot"]);
    const lock = await slow.acquire("account:hot", { ttl: TTL });
    toQueue.requests.drop();
    const parked = new Gate();
    fast.once("parked", () => parked.open());
    share();
    await bench.queue().add("charge", { account: "hot", index: 1 });
    await parked.opened;

    const releasedAt = performance.now();
    await lock.release();
    for (const { requests } of toMasters) requests.drop();

    await expect.poll(() => runs).toEqual(["slow hot", "fast hot"]);
    expect(performance.now() - releasedAt).toBeLessThan(TTL + LOAD);
    await expect.poll(leftovers).toEqual([]);
  });
});
