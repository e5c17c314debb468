import { type Job, type Queue, Worker } from "bullmq";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Redlock, withLock } from "../../src/index.ts";
import { TURN } from "../../src/lock/line-script.ts";
import { Gate, QUEUE, useBench } from "./support.ts";

interface Data {
  account: string;
  index: number;
}

const bench = useBench();
const KEY = "account:{{data.account}}";
/** What a loaded machine may add to what is promised, in ms. */
const LOAD = 1_500;

/** Jobs of one key, parked behind a holder. */
interface Scene {
  readonly redlock: Redlock;
  readonly queue: Queue;
  readonly worker: Worker;
  readonly jobs: readonly Job<Data>[];
  /** The jobs that have run, by their index, with the ms since the release. */
  readonly runs: Map<number, number>;
  release(): Promise<void>;
}

/** Parks `count` jobs; the worker has a slot for each. */
async function park(count: number, name = QUEUE): Promise<Scene> {
  const redlock = bench.redlock({ ttl: 10_000 });
  const queue = bench.queue(name);
  const lock = await redlock.acquire("account:hot");
  const runs = new Map<number, number>();
  let releasedAt = 0;
  const worker = bench.worker(
    withLock({ redlock, key: KEY }, async ({ data }: Job<Data>) => {
      await Promise.resolve(runs.set(data.index, performance.now() - releasedAt));
    }),
    { concurrency: count, name },
  );
  let parks = 0;
  const allParked = new Gate();
  redlock.on("parked", () => ++parks === count && allParked.open());
  const jobs = await queue.addBulk(
    Array.from({ length: count }, (_, index) => ({
      name: "charge",
      data: { account: "hot", index },
    })),
  );
  await allParked.opened;
  const release = async (): Promise<void> => {
    releasedAt = performance.now();
    await lock.release();
  };
  return { redlock, queue, worker, jobs, runs, release };
}

describe("a line moves on when its first one", () => {
  test("was taken up by a worker that died: after one turn", async () => {
    const { worker, runs, release } = await park(3);
    await worker.pause();
    const dead = new Worker(QUEUE, null, { connection: { url: bench.queueUrl } });
    onTestFinished(async () => await dead.close(true));
    const taken = dead.getNextJob("a token");

    await release();
    expect(((await taken) as unknown as Job<Data>).data.index).toBe(0);
    worker.resume();

    await expect.poll(() => [...runs.keys()], { timeout: 20_000 }).toEqual([1, 2]);
    expect(Math.max(...runs.values())).toBeLessThan(TURN + LOAD);
  });
});
