import { Queue } from "bullmq";
import { setTimeout as pause } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { LINE_RETENTION, TURN } from "../../src/lock/line-script.ts";
import { redisClient, useRedisNodes } from "../support/redis.ts";
import { seededRandom } from "../support/simulated-redlock.ts";
import { type Pause, Resource } from "./resource.ts";
import { WorkerProcess, type Order, type WorkerTask } from "./worker-process.ts";

const nodes = useRedisNodes(5);

const SEED = 5;
const JOBS = 3_000;
const ENTITIES = 20;
const TTL = 1_500;
/** Milliseconds between two kills: at least, and at most. */
const KILLS = [500, 1_500] as const;
/** What a loaded machine may add to what is promised, in ms. */
const LOAD = 1_500;

/** The name that all that is stored for lines begins with. */
const LINES = ["@waiters:", "@waiter:", "@turn:"].map((name) => `redlock:${name}*`);

interface Crowd {
  readonly kills: number[];
  /** Kills one worker after the other, at random, until it is stopped; each is replaced at once. */
  stop(): Promise<void>;
}

async function killAtRandom(task: WorkerTask, resource: Resource): Promise<Crowd> {
  const random = seededRandom(SEED);
  const workers = await Promise.all([1, 2, 3].map(() => WorkerProcess.start(task)));
  const kills: number[] = [];
  let stopped = false;
  const [least, most] = KILLS;
  const killing = (async () => {
    for (;;) {
      await pause(least + (most - least) * random.fraction());
      if (stopped) return;
      const index = Math.floor(random.fraction() * workers.length);
      const victim = workers[index]!;
      kills.push(await resource.now());
      await victim.kill();
      await resource.bury(victim.pid);
      workers[index] = await WorkerProcess.start(task);
    }
  })();
  return {
    kills,
    stop: async () => {
      stopped = true;
      await killing;
    },
  };
}

/** What lines have left on the masters, with the milliseconds until it expires. */
async function leftovers(urls: readonly string[]): Promise<{ name: string; expiresIn: number }[]> {
  const found = urls.map(async (url) => {
    const client = redisClient(url);
    const names = (await Promise.all(LINES.map((pattern) => client.keys(pattern)))).flat();
    return await Promise.all(
      names.map(async (name) => ({ name, expiresIn: await client.pttl(name) })),
    );
  });
  return (await Promise.all(found)).flat();
}

test("3,000 jobs over 20 keys are each done, one at a time, while workers are killed at random", async () => {
  const [queueUrl, resourceUrl, ...masterUrls] = nodes.urls as [string, string, ...string[]];
  const worker = { lockDuration: 2_000, stalledInterval: 500, maxStalledCount: 100 };
  const task = { queueUrl, resourceUrl, masterUrls, ttl: TTL, locked: true, worker };
  const queue = new Queue<Order>("orders", { connection: { url: queueUrl } });
  const resource = new Resource(resourceUrl);
  onTestFinished(async () => {
    resource.close();
    await queue.close();
  });
  const crowd = await killAtRandom(task, resource);

  await queue.addBulk(
    Array.from({ length: JOBS }, (_, index) => ({
      name: "order",
      data: { entity: String(index % ENTITIES), ms: 15 },
    })),
  );
  const completed = async (): Promise<number> => await queue.getJobCountByTypes("completed");
  await expect.poll(completed, { timeout: 60_000 }).toBeGreaterThan(JOBS * 0.8);
  await crowd.stop();
  await expect.poll(completed, { timeout: 60_000 }).toBe(JOBS);

  const { entries, overlaps, inversions } = await resource.report();
  expect({ overlaps, inversions }).toEqual({ overlaps: 0, inversions: 0 });
  expect(entries).toBeGreaterThanOrEqual(JOBS);
  const entities = Array.from({ length: ENTITIES }, (_, index) => String(index));
  const pauses = (await Promise.all(entities.map((entity) => resource.pauses(entity)))).flat();
  const length = ({ from, to }: Pause): number => to - from;
  const calm = pauses.filter(({ from, to }) => !crowd.kills.some((at) => from <= at && at <= to));
  const shaken = pauses.filter((candidate) => !calm.includes(candidate));
  const report = (list: Pause[]): number[] => list.map(length).toSorted((a, b) => b - a).slice(0, 12);
  console.log(crowd.kills.length, entries, report(calm), report(shaken));
  console.log(await leftovers(masterUrls));
  expect(Math.max(...calm.map(length))).toBeLessThan(TURN + LOAD);
  // The lock of a dead holder has to end first; and its job may have had the turn of another key.
  expect(Math.max(...shaken.map(length))).toBeLessThan(TTL + 2 * TURN + LOAD);
  for (const { expiresIn } of await leftovers(masterUrls)) {
    expect(expiresIn).toBeGreaterThan(0);
    expect(expiresIn).toBeLessThanOrEqual(LINE_RETENTION);
  }
}, 150_000);
