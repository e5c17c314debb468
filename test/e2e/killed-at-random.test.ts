import { Queue } from "bullmq";
import { setTimeout as pass } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { slotNames } from "../../src/lock/slots.ts";
import { WAIT_LIST_RETENTION } from "../../src/waiters/queues-lua.ts";
import { redisClient, useRedisNodes } from "../support/redis.ts";
import { seededRandom } from "../support/simulated-redlock.ts";
import { Resource } from "./resource.ts";
import { WorkerProcess, type Order, type WorkerTask } from "./worker-process.ts";

const nodes = useRedisNodes(5);

const SEED = 5;
const TTL = 1_500;
/** Milliseconds within which a key that is free is found, since all workers run jobs of the queue. */
const SERVED = 3_000;
/** The lock of a job in BullMQ, and between two looks for stalled ones. */
const LOCK_DURATION = 2_000;
const STALLED_INTERVAL = 500;
/** Milliseconds between two kills: at least, and at most. */
const KILLS = [100, 600] as const;
/** What a loaded machine may add to what is promised, in ms. */
const LOAD = 4_000;

/** Three workers, of which one is killed and replaced now and then. */
class Crowd {
  /** All that have ever been. */
  readonly workers: WorkerProcess[] = [];
  /** When which process was killed, by the clock of the resource. */
  readonly kills: { readonly pid: number; readonly at: number }[] = [];
  readonly #task: WorkerTask;
  readonly #resource: Resource;
  #calm = false;

  constructor(task: WorkerTask, resource: Resource) {
    this.#task = task;
    this.#resource = resource;
  }

  async start(): Promise<void> {
    this.workers.push(await WorkerProcess.start(this.#task));
  }

  /** Kills and replaces until {@link calmDown}. */
  async rage(): Promise<void> {
    const random = seededRandom(SEED);
    const [least, most] = KILLS;
    while (!this.#calm) {
      await this.start();
      await pass(least + (most - least) * random.fraction());
      const alive = this.workers.filter((worker) => !this.#dead.includes(worker));
      const victim = alive[Math.floor(random.fraction() * (alive.length - 1))]!;
      this.kills.push({ pid: victim.pid, at: await this.#resource.now() });
      await victim.kill();
      // A dead process uses nothing any more.
      await this.#resource.bury(victim.pid);
    }
  }

  calmDown(): void {
    this.#calm = true;
  }

  /** The jobs that wait for a while whatever becomes of their key. */
  get excused(): ReadonlySet<string> {
    return new Set(this.workers.flatMap(({ delayed }) => [...delayed]));
  }

  get #dead(): WorkerProcess[] {
    return this.workers.filter(({ pid }) => this.kills.some((kill) => kill.pid === pid));
  }
}

/** A time in which nobody used an entity although others came later, in ms of the resource's clock. */
interface Pause {
  readonly from: number;
  readonly to: number;
  /** The jobs that came later. */
  readonly jobs: readonly string[];
}

function longerThan(ms: number, pauses: readonly Pause[]): Pause[] {
  return pauses.filter(({ from, to }) => to - from > ms);
}

async function pausesOf(resource: Resource, entity: string): Promise<Pause[]> {
  const uses = await resource.uses(entity);
  return uses.slice(1).map(({ from }, index) => ({
    from: uses[index]!.to,
    to: from,
    jobs: uses.slice(index + 1).map(({ user }) => user.split(":")[1]!),
  }));
}

/** What lines have left on the masters, with the milliseconds until it expires. */
async function leftovers(urls: readonly string[]): Promise<{ name: string; expiresIn: number }[]> {
  const found = urls.map(async (url) => {
    const client = redisClient(url);
    const names = (await client.keys("redlock:@*")).filter((name) =>
      /@waiters?:|@reserved:/.test(name),
    );
    return await Promise.all(
      names.map(async (name) => ({ name, expiresIn: await client.pttl(name) })),
    );
  });
  return (await Promise.all(found)).flat();
}

test.each([
  { jobs: 1_000, keys: 20, limit: 1, ms: 10 },
  // The three workers have more slots than that.
  { jobs: 600, keys: 5, limit: 3, ms: 50 },
])("$jobs jobs over $keys keys of $limit while workers are killed at random", async (load) => {
  const { jobs: count, limit, ms } = load;
  const entities = Array.from({ length: load.keys }, (_, index) => String(index));
  const [queueUrl, resourceUrl, ...masterUrls] = nodes.urls as [string, string, ...string[]];
  const worker = {
    lockDuration: LOCK_DURATION,
    stalledInterval: STALLED_INTERVAL,
    maxStalledCount: 100,
    drainDelay: 1,
  };
  const task = { queueUrl, resourceUrl, masterUrls, ttl: TTL, locked: true, limit, worker };
  const queue = new Queue<Order>("orders", { connection: { url: queueUrl } });
  const resource = new Resource(resourceUrl);
  onTestFinished(async () => {
    resource.close();
    await queue.close();
  });
  const crowd = new Crowd(task, resource);
  await Promise.all([1, 2, 3].map(() => crowd.start()));
  const raging = crowd.rage();
  const completed = async (): Promise<number> => await queue.getJobCountByTypes("completed");

  await queue.addBulk(
    Array.from({ length: count }, (_, index) => ({
      name: "order",
      data: { entity: entities[index % entities.length]!, ms },
    })),
  );
  await expect.poll(completed, { timeout: 150_000 }).toBeGreaterThan(count * 0.8);
  crowd.calmDown();
  await raging;
  await expect.poll(completed, { timeout: 150_000 }).toBe(count);

  const { entries, overlaps, inversions } = await resource.report();
  expect({ overlaps, inversions }).toEqual({ overlaps: 0, inversions: 0 });
  expect(entries).toBeGreaterThanOrEqual(count);
  const slots = entities.flatMap((entity) => slotNames(entity, limit));
  const pauses = (await Promise.all(slots.map((slot) => pausesOf(resource, slot)))).flat();
  const stalled = (await queue.getJobs("completed", 0, -1)).filter((job) => job.stalledCounter > 0);
  // A job that a dead worker had is BullMQ's to bring back.
  const excused = new Set([...crowd.excused, ...stalled.map(({ id }) => id!)]);
  const attended = pauses.filter(({ jobs }) => jobs.some((id) => !excused.has(id)));
  // A dead process may have had a lock, which has to end.
  expect(longerThan(TTL + SERVED + LOAD, attended)).toEqual([]);
  const stalledWithin = LOCK_DURATION + 2 * STALLED_INTERVAL;
  expect(longerThan(stalledWithin + TTL + SERVED + LOAD, pauses)).toEqual([]);
  for (const { expiresIn } of await leftovers(masterUrls)) {
    expect(expiresIn).toBeGreaterThan(0);
    expect(expiresIn).toBeLessThanOrEqual(WAIT_LIST_RETENTION);
  }
});
