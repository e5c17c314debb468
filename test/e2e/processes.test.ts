import { Queue, QueueEvents, type Job } from "bullmq";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { Redlock } from "../../src/index.ts";
import { useRedisNodes } from "../support/redis.ts";
import { Resource } from "./resource.ts";
import { WorkerProcess, type Order, type WorkerTask } from "./worker-process.ts";

const nodes = useRedisNodes(5);

/** Milliseconds. */
const LONGEST_RUN = 45_000;

/** Things to work with, closed when the test ends. */
async function setUp(): Promise<{
  task: WorkerTask;
  queue: Queue<Order>;
  resource: Resource;
  allEnded: (jobs: Job<Order>[]) => Promise<unknown>;
}> {
  const [queueUrl, resourceUrl, ...masterUrls] = nodes.urls as [string, string, ...string[]];
  const task = { queueUrl, resourceUrl, masterUrls, ttl: 2_000, locked: true };
  const connection = { url: queueUrl };
  const queue = new Queue<Order>("orders", { connection });
  const events = new QueueEvents("orders", { connection });
  const resource = new Resource(resourceUrl);
  onTestFinished(async () => {
    resource.close();
    await events.close();
    await queue.close();
  });
  await events.waitUntilReady();
  // Each job that is waited for listens.
  events.setMaxListeners(0);
  queue.setMaxListeners(0);
  const allEnded = async (jobs: Job<Order>[]): Promise<unknown> => {
    const ended = Promise.all(jobs.map(async (job) => await job.waitUntilFinished(events)));
    return await Promise.race([ended, describeHanging(queue, jobs, masterUrls)]);
  };
  return { task, queue, resource, allEnded };
}

/** Rejects with the state of what has not ended, when that takes too long. */
async function describeHanging(
  queue: Queue<Order>,
  jobs: readonly Job<Order>[],
  masterUrls: readonly string[],
): Promise<never> {
  await sleep(LONGEST_RUN, undefined, { ref: false });
  await using redlock = new Redlock({ nodes: masterUrls, restartGuard: "trust-new" });
  const states = await Promise.all(
    jobs.map(async ({ id }) => {
      const job = await queue.getJob(id!);
      return `${id} ${await job?.getState()} ${JSON.stringify(job)}`;
    }),
  );
  const open = states.filter((state) => !/^\S+ completed/.test(state));
  const keys = new Set(jobs.map(({ data: { entity } }) => `entity:${entity}`));
  const lines = await Promise.all([...keys].map(async (key) => await redlock.inspect(key)));
  throw new Error(["not ended:", ...open, ...lines.map((line) => JSON.stringify(line))].join("\n"));
}

/** Always three jobs of one entity after one another. */
function orders(count: number, entities: number, ms: number) {
  return Array.from({ length: count }, (_, index) => ({
    name: "order",
    data: { entity: String(Math.floor(index / 3) % entities), ms },
  }));
}

describe("two worker processes with ten slots each", () => {
  test("run 1,000 jobs over 20 keys, each once and one at a time per key", async () => {
    const { task, queue, resource, allEnded } = await setUp();
    const workers = await Promise.all([WorkerProcess.start(task), WorkerProcess.start(task)]);

    const added = await queue.addBulk(orders(1_000, 20, 5));
    await allEnded(added);

    expect(await resource.report()).toEqual({ entries: 1_000, overlaps: 0, inversions: 0 });
    const jobs = await queue.getJobs("completed");
    expect(jobs).toHaveLength(1_000);
    expect(new Set(jobs.map(({ attemptsMade }) => attemptsMade))).toEqual(new Set([1]));
    expect(jobs.some(({ attemptsStarted }) => attemptsStarted > 1)).toBe(true);
    await Promise.all(workers.map(async (worker) => await worker.stop()));
    expect(workers.flatMap(({ errors }) => errors)).toEqual([]);
  });

  test("overlap when there is no lock: the measuring works", async () => {
    const { task, queue, resource, allEnded } = await setUp();
    const unlocked = { ...task, locked: false };
    await Promise.all([WorkerProcess.start(unlocked), WorkerProcess.start(unlocked)]);

    await allEnded(await queue.addBulk(orders(1_000, 20, 5)));

    const { entries, overlaps } = await resource.report();
    expect(entries).toBe(1_000);
    expect(overlaps).toBeGreaterThan(100);
  });
});

describe("a worker process that is killed in the middle of a job", () => {
  test.each([
    ["has ended", 800],
    ["is still there", 4_000],
  ])("has its job run again by another, never with anybody, when its lock %s", async (_, ttl) => {
    const { task, queue, resource, allEnded } = await setUp();
    const short = { ...task, ttl, worker: { lockDuration: 1_000, stalledInterval: 500 } };
    const victim = await WorkerProcess.start(short);
    const [doomed] = await queue.addBulk(orders(1, 1, 60_000));
    await victim.hasStarted(doomed!.id!);
    const survivor = await WorkerProcess.start(short);
    const others = await queue.addBulk(orders(5, 1, 20));
    await doomed!.updateData({ entity: "0", ms: 20 });

    const killedAt = performance.now();
    await victim.kill();
    // A dead process uses nothing any more; whoever came in before this line came too early.
    const left = await resource.users("0");
    for (const user of left) await resource.leave("0", user);
    await allEnded([doomed!, ...others]);

    expect(left).toEqual([`${victim.pid}:${doomed!.id}`]);
    expect(performance.now() - killedAt).toBeLessThan(ttl + 10_000);
    expect(await resource.report()).toEqual({ entries: 7, overlaps: 0, inversions: 0 });
    const job = await queue.getJob(doomed!.id!);
    expect(job).toMatchObject({ attemptsMade: 1, stalledCounter: 1 });
    await survivor.stop();
    expect(survivor.errors).toEqual([]);
  });

  test("leaves no key idle when it was the only one, and is started again", async () => {
    const { task, queue, resource } = await setUp();
    const victim = await WorkerProcess.start(task);
    const [doomed, waiting] = await queue.addBulk(orders(2, 1, 60_000));
    await victim.hasStarted(doomed!.id!);
    await expect.poll(() => victim.parked.has(waiting!.id!)).toBe(true);
    await waiting!.updateData({ entity: "0", ms: 20 });

    await victim.kill();
    for (const user of await resource.users("0")) await resource.leave("0", user);
    const killedAt = performance.now();
    const successor = await WorkerProcess.start(task);
    const [other] = await queue.addBulk([{ name: "order", data: { entity: "1", ms: 20 } }]);
    await successor.hasStarted(other!.id!);
    await successor.hasStarted(waiting!.id!);

    // Its lock has to end; then a worker that has run any job finds the key within three seconds.
    expect(performance.now() - killedAt).toBeLessThan(task.ttl + 3_000 + 4_000);
    await successor.stop();
  });
});
