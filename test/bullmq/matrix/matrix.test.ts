import { describe, expect, test } from "vitest";
import { useRedisNodes } from "../../support/redis.ts";
import { next, useBench } from "../support.ts";
import { Contest } from "./contest.ts";
import { type JobToAdd, type Lane, nodeRedisLane, oldestLane, redisLane } from "./lane.ts";

/** Jobs added to each queue, all on one key. */
const JOBS = 6;

const bench = useBench();
const elsewhere = useRedisNodes(1);

/** Ways to have queues; those of one row share their keys. */
const arrangements: { name: string; open: () => Lane[] | Promise<Lane[]> }[] = [
  { name: "BullMQ 6 on Redis", open: () => [redisLane(bench.queueUrl)] },
  { name: "a prefix of its own", open: () => [redisLane(bench.queueUrl, { prefix: "my:app" })] },
  { name: "node-redis", open: async () => [await nodeRedisLane(bench.queueUrl)] },
  { name: "BullMQ 5.72", open: () => [oldestLane(bench.queueUrl)] },
  {
    name: "two queues on one Redis",
    open: () => [redisLane(bench.queueUrl), redisLane(bench.queueUrl, { name: "refunds" })],
  },
  {
    name: "two queues on a Redis each",
    open: () => [redisLane(bench.queueUrl), redisLane(elsewhere.urls[0]!)],
  },
  {
    name: "BullMQ 5.72 beside BullMQ 6",
    open: () => [redisLane(bench.queueUrl), oldestLane(elsewhere.urls[0]!)],
  },
];

/** Of the jobs of a queue, in turn. */
const PRIORITIES = [7, 0, 3, 0];

function jobsToAdd(): JobToAdd[] {
  return Array.from({ length: JOBS }, (_, index) => ({
    name: `job ${index}`,
    data: { account: "a" },
    opts: { priority: PRIORITIES[index % PRIORITIES.length]! },
  }));
}

describe.each(arrangements)("with $name", ({ open }) => {
  test("jobs on one key run one at a time, once, in one attempt, and keep their priorities", async () => {
    const redlock = bench.redlock();
    const lanes = await open();
    const contest = new Contest(redlock);
    const contended = next(redlock, "conflict");
    await Promise.all(lanes.map((lane) => lane.queue.addBulk(jobsToAdd())));

    for (const lane of lanes) contest.open(lane);
    const { most, jobs, errors } = await contest.ended(JOBS * lanes.length);

    expect(errors).toEqual([]);
    expect(most).toBe(1);
    const all = lanes.flatMap(jobsToAdd);
    expect(contest.started.toSorted()).toEqual(all.map(({ name }) => name).toSorted());
    expect(jobs.map(({ attemptsMade }) => attemptsMade)).toEqual(all.map(() => 1));
    const priorities = jobs.map(
      ({ returnvalue, priority }) => `${String(returnvalue)} ${priority}`,
    );
    const given = all.map(({ name, opts }) => `done ${name} ${opts!.priority}`);
    expect(priorities.toSorted()).toEqual(given.toSorted());
    expect(await contended).toMatchObject({ key: "account:a" });
  });

  // A job that is put aside comes back after a pause of its own, whoever came first.
  test.skip("jobs that wait for one key get it by priority, then in the order in which they came", async () => {
    const redlock = bench.redlock();
    const [lane] = await open();
    const contest = new Contest(redlock);
    const lock = await redlock.acquire("account:a");
    const parked = new Set<string>();
    const allParked = new Promise<void>((resolve) => {
      redlock.on("parked", ({ job }) => {
        if (parked.add(job).size === JOBS) resolve();
      });
    });
    await lane!.queue.addBulk(jobsToAdd());
    contest.open(lane!);
    await allParked;

    await lock.release();
    await contest.ended(JOBS);

    expect(contest.started).toEqual([1, 3, 5, 2, 0, 4].map((index) => `job ${index}`));
  });
});
