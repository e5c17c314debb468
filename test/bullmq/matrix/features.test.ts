import { FlowProducer, type Queue } from "bullmq";
import { expect, onTestFinished, test } from "vitest";
import type { Redlock } from "../../../src/index.ts";
import { next, useBench } from "../support.ts";
import { Contest } from "./contest.ts";
import { type Account, type Lane, redisLane } from "./lane.ts";

/** What BullMQ can do with the jobs of a queue, for jobs on one key. */
const bench = useBench();
const data: Account = { account: "a" };

function jobs(count: number): { name: string; data: Account }[] {
  return Array.from({ length: count }, (_, index) => ({ name: `job ${index}`, data }));
}

/** The lane of a test, and its queue with all that it can do. */
function open(): { lane: Lane; queue: Queue } {
  const lane = redisLane(bench.queueUrl);
  return { lane, queue: lane.queue as Queue };
}

/** Resolves when so many jobs have been parked or delayed since the call. */
function parked(redlock: Redlock, count: number): Promise<void> {
  const jobs = new Set<string>();
  return new Promise((resolve) => {
    redlock.on("parked", ({ job }) => {
      if (jobs.add(job).size >= count) resolve();
    });
  });
}

test("the children of a flow, and then their parent, run one at a time on one key", async () => {
  const redlock = bench.redlock();
  const { lane, queue } = open();
  const contest = new Contest(redlock);
  const flows = new FlowProducer({ connection: { url: bench.queueUrl } });
  onTestFinished(async () => await flows.close());
  const conflict = next(redlock, "conflict");
  const queueName = queue.name;

  await flows.add({
    name: "parent",
    queueName,
    data,
    children: jobs(4).map((child) => ({ ...child, queueName })),
  });
  contest.open(lane);
  const { most, errors, jobs: done } = await contest.ended(5);

  await conflict;
  expect(errors).toEqual([]);
  expect(most).toBe(1);
  expect(contest.started).toHaveLength(5);
  expect(contest.started.at(-1)).toBe("parent");
  expect(done.map(({ attemptsMade }) => attemptsMade)).toEqual(Array(5).fill(1));
  const parent = await queue.getJob(done.at(-1)!.id!);
  const values = Object.values(await parent!.getChildrenValues<string>());
  expect(values.toSorted()).toEqual(jobs(4).map(({ name }) => `done ${name}`));
});

test("a parent on a taken key waits, and its children on other keys do not", async () => {
  const redlock = bench.redlock();
  const { lane, queue } = open();
  const contest = new Contest(redlock);
  const flows = new FlowProducer({ connection: { url: bench.queueUrl } });
  onTestFinished(async () => await flows.close());
  const lock = await redlock.acquire("account:a");
  const parentParked = parked(redlock, 1);
  const queueName = queue.name;
  const children = ["b", "c"].map((account) => ({ name: account, queueName, data: { account } }));

  await flows.add({ name: "parent", queueName, data, children });
  contest.open(lane);
  await parentParked;
  expect(contest.started.toSorted()).toEqual(["b", "c"]);
  await lock.release();

  const { errors } = await contest.ended(3);
  expect(errors).toEqual([]);
  expect(contest.started.at(-1)).toBe("parent");
});

test("the jobs of a scheduler that come faster than they end all run, one at a time", async () => {
  const redlock = bench.redlock();
  // A scheduler with "delay" is warned of; that is shown elsewhere.
  redlock.on("warning", () => undefined);
  const { lane, queue } = open();
  const contest = new Contest(redlock);
  const lock = await redlock.acquire("account:a");
  const twoWait = parked(redlock, 2);

  await queue.upsertJobScheduler("often", { every: 60, limit: 4 }, { name: "scheduled", data });
  contest.open(lane);
  await twoWait;
  expect(contest.started).toEqual([]);
  await lock.release();

  const { most, errors, jobs: done } = await contest.ended(4);
  expect(errors).toEqual([]);
  expect(most).toBe(1);
  expect(contest.started).toHaveLength(4);
  expect(done.map(({ attemptsMade }) => attemptsMade)).toEqual(Array(4).fill(1));
});

test("jobs whose key comes free while their queue is paused all run when it is resumed", async () => {
  const redlock = bench.redlock();
  const { lane, queue } = open();
  const contest = new Contest(redlock);
  const lock = await redlock.acquire("account:a");
  const allWait = parked(redlock, 4);
  await queue.addBulk(jobs(4));
  contest.open(lane);
  await allWait;

  await queue.pause();
  await expect.poll(async () => await queue.getActiveCount()).toBe(0);
  const released = next(redlock, "released");
  await lock.release();
  await released;
  expect(contest.started).toEqual([]);
  await queue.resume();

  const { most, errors, jobs: done } = await contest.ended(4);
  expect(errors).toEqual([]);
  expect(most).toBe(1);
  expect(contest.started).toHaveLength(4);
  expect(done.map(({ attemptsMade }) => attemptsMade)).toEqual(Array(4).fill(1));
});

test("jobs that wait do not count for the queue's global concurrency", async () => {
  const redlock = bench.redlock();
  const { lane, queue } = open();
  const contest = new Contest(redlock);
  await queue.setGlobalConcurrency(1);
  const lock = await redlock.acquire("account:a");
  const allWait = parked(redlock, 4);
  await queue.addBulk(jobs(4));
  contest.open(lane);
  await allWait;

  await queue.add("free", { account: "b" });
  await contest.ended(1);
  expect(contest.started).toEqual(["free"]);
  await lock.release();

  const { most, errors, jobs: done } = await contest.ended(5);
  expect(errors).toEqual([]);
  expect(most).toBe(1);
  expect(contest.started).toHaveLength(5);
  expect(done.map(({ attemptsMade }) => attemptsMade)).toEqual(Array(5).fill(1));
});
