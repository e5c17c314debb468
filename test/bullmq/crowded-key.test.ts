import type { Job, Worker } from "bullmq";
import { expect, onTestFinished, test, vi } from "vitest";
import { type Redlock, type RedlockEvents, withLock } from "../../src/index.ts";
import { acquireOperation } from "../../src/lock/acquire-operation.ts";
import { engineOf } from "../../src/redlock/redlock.ts";
import { redisClient } from "../support/redis.ts";
import { type Lane, TcpProxy } from "../support/tcp-proxy.ts";
import { Gate, next, useBench } from "./support.ts";

interface Data {
  index: number;
}

const bench = useBench();
const TTL = 5_000;
/** Allowance for a loaded machine, in ms. */
const LOAD = 4_000;
/** As many others wait for a crowded key. */
const CROWD = 12;

async function proxy(url: string): Promise<TcpProxy> {
  const started = await TcpProxy.start(Number(new URL(url).port));
  onTestFinished(async () => await started.stop());
  return started;
}

/** A key that is held and crowded, and a program that knows it because it has parked a job. */
interface Scene {
  readonly redlock: Redlock;
  readonly worker: Worker;
  readonly toQueue: TcpProxy;
  readonly toMasters: readonly TcpProxy[];
  /** The indexes of the jobs that have run. */
  readonly runs: number[];
  /** Adds a job that comes before all that wait. */
  readonly add: (index: number) => Promise<Job<Data>>;
  /** Frees the key. */
  readonly release: () => Promise<unknown>;
  /** How often the program has asked for a key. */
  readonly asked: () => number;
}

async function setUp(): Promise<Scene> {
  const toQueue = await proxy(bench.queueUrl);
  const toMasters = await Promise.all(bench.masterUrls.map(proxy));
  const options = { ttl: TTL, nodeTimeout: 500 };
  const redlock = bench.redlock({ ...options, nodes: toMasters.map(({ url }) => url) });
  const others = bench.redlock(options);
  const lock = await others.acquire("hot");
  const waiting = Array.from({ length: CROWD }, async () => {
    await (await others.acquire("hot", { waitTimeout: 60_000 })).release();
  });
  onTestFinished(async () => {
    for (const each of [toQueue, ...toMasters]) {
      each.requests.pass();
      each.replies.pass();
    }
    await lock.release();
    await Promise.all(waiting);
  });
  await expect.poll(async () => (await others.inspect("hot")).waiting).toBe(CROWD);

  const broadcast = vi.spyOn(engineOf(redlock).context.masters, "broadcast");
  const runs: number[] = [];
  const process = withLock({ redlock, key: "hot" }, async ({ data }: Job<Data>) => {
    await Promise.resolve(runs.push(data.index));
  });
  const worker = bench.worker(process, {
    connection: { url: toQueue.url },
    concurrency: 5,
    lockDuration: 4_000,
    // For so long after its last check, no other worker of the queue looks for stalled jobs.
    stalledInterval: 12_000,
  });
  await worker.waitUntilReady();
  const queue = bench.queue();
  const add = async (index: number) =>
    await queue.add("charge", { index }, { timestamp: 1_000_000 - index });
  const parked = next(redlock, "parked");
  await add(0);
  await parked;
  await expect.poll(() => engineOf(redlock).waitLists.isCrowded("hot")).toBe(true);
  return {
    redlock,
    worker,
    toQueue,
    toMasters,
    runs,
    add,
    release: async () => await lock.release(),
    asked: () =>
      broadcast.mock.calls.filter(([operation]) => (operation as unknown) === acquireOperation)
        .length,
  };
}

test("jobs of a crowded key wait for it without having asked for it", async () => {
  const { redlock, add, asked, release, runs } = await setUp();
  const conflicts: RedlockEvents["conflict"][0][] = [];
  redlock.on("conflict", (conflict) => conflicts.push(conflict));
  let parked = 0;
  redlock.on("parked", () => (parked += 1));
  await Promise.all(Array.from({ length: 20 }, async (_, index) => await add(index + 1)));
  await expect.poll(() => parked).toBe(20);

  // The job that found the key held.
  expect(asked()).toBe(1);
  expect((await redlock.inspect("hot")).waiting).toBe(CROWD + 21);
  // Two for a job that was taken up while it was being parked with others.
  expect(new Set(conflicts.map(({ job }) => job)).size).toBe(20);
  expect(conflicts[0]).toMatchObject({
    keys: ["hot"],
    key: "hot",
    holder: { fencingToken: expect.any(Number) as number },
    retryAfter: expect.any(Number) as number,
    waiting: expect.any(Number) as number,
    queue: "invoices",
  });

  await release();
  await expect.poll(() => runs.length).toBe(21);
  expect(runs).toEqual(Array.from({ length: 21 }, (_, index) => 20 - index));
});

test("a job of a crowded key is not moved before a quorum has it in the wait list", async () => {
  const { redlock, toMasters, add } = await setUp();
  const queue = bench.queue();
  expect(await queue.getDelayedCount()).toBe(1);
  const slow = toMasters.slice(1);
  for (const { replies } of slow) replies.hold();
  const answered = Promise.all(slow.map(async ({ replies }) => await replies.next()));
  const parked = next(redlock, "parked");
  await add(1);
  await answered;
  expect(await queue.getDelayedCount()).toBe(1);
  for (const { replies } of slow) replies.pass();
  await parked;
  expect(await queue.getDelayedCount()).toBe(2);
});

/** Where a release comes, and the messages that are held up meanwhile. */
const WINDOWS: readonly {
  readonly where: string;
  readonly event?: "conflict";
  readonly lanes: (scene: Scene) => readonly Lane[];
}[] = [
  {
    where: "before it joins",
    lanes: ({ toMasters }) => toMasters.map(({ requests }) => requests),
  },
  {
    where: "between joining on one master and on the others",
    lanes: ({ toMasters }) => toMasters.slice(1).map(({ requests }) => requests),
  },
  {
    where: "between joining and the answers to that",
    lanes: ({ toMasters }) => toMasters.map(({ replies }) => replies),
  },
  {
    where: "between joining and parking",
    event: "conflict",
    lanes: ({ toQueue }) => [toQueue.requests],
  },
  {
    where: "between parking and the answer to that",
    event: "conflict",
    lanes: ({ toQueue }) => [toQueue.replies],
  },
];

test.each(WINDOWS)("a job of a crowded key whose key is freed $where runs", async (window) => {
  const scene = await setUp();
  const { redlock, add, release, runs } = scene;
  const lanes = window.lanes(scene);
  const held = new Gate();
  const hold = (): void => {
    for (const lane of lanes) lane.hold();
    void Promise.all(lanes.map(async (lane) => await lane.next())).then(() => held.open());
  };
  if (window.event === undefined) hold();
  else redlock.once(window.event, hold);
  await add(1);
  await held.opened;

  const releasedAt = performance.now();
  await release();
  for (const lane of lanes) lane.pass();

  await expect.poll(() => runs).toContain(1);
  expect(performance.now() - releasedAt).toBeLessThan(LOAD);
  await expect.poll(() => runs.toSorted((a, b) => a - b)).toEqual([0, 1]);
});

test("a job of a crowded key that is parked late joins again", async () => {
  const { redlock, toQueue, add, runs, release } = await setUp();
  const conflict = next(redlock, "conflict");
  redlock.once("conflict", () => toQueue.requests.hold());
  const { id = "" } = await add(1);
  await conflict;
  const joinedAt = performance.now();
  // As if it had missed its reservation while it was active.
  const [waiter] = (await redlock.inspect("hot")).waiters;
  expect(waiter).toMatchObject({ job: `bull:invoices:${id}` });
  const { waitLists, context } = engineOf(redlock);
  const [position = ""] = await redisClient(bench.masterUrls[0] ?? "").zrange(
    context.names.waiters("hot"),
    "0",
    "0",
  );
  await waitLists.leave({ position, run: 1 }, ["hot"]);
  await expect.poll(async () => (await redlock.inspect("hot")).waiting).toBe(CROWD + 1);
  await expect.poll(() => performance.now() - joinedAt, { timeout: 3_000 }).toBeGreaterThan(1_100);
  toQueue.requests.pass();
  await expect.poll(async () => (await redlock.inspect("hot")).waiting).toBe(CROWD + 2);
  await release();
  await expect.poll(() => runs).toContain(1);
});

test("a worker that is killed between joining and parking leaves no key idle", async () => {
  const { redlock, worker, toQueue, add, release, runs } = await setUp();
  const conflict = next(redlock, "conflict");
  redlock.once("conflict", () => toQueue.requests.drop());
  await add(1);
  await conflict;
  toQueue.refuse();
  toQueue.cut();
  const other = bench.redlock({ ttl: TTL });
  const process = withLock({ redlock: other, key: "hot" }, async ({ data }: Job<Data>) => {
    await Promise.resolve(runs.push(data.index));
  });
  bench.worker(process, { stalledInterval: 500, maxStalledCount: 3, lockDuration: 1_000 });
  // Before the hook that would wait for its queue.
  onTestFinished(async () => await worker.close(true));
  await release();
  await expect.poll(() => runs, { timeout: 30_000 }).toContain(0);
  // The job of the killed worker comes back much later.
  expect(runs).toEqual([0]);
  await expect.poll(() => runs.toSorted((a, b) => a - b), { timeout: 60_000 }).toEqual([0, 1]);
});
