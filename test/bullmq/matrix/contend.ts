import { expect } from "vitest";
import type { Redlock } from "../../../src/index.ts";
import { next } from "../support.ts";
import { Contest } from "./contest.ts";
import type { JobToAdd, Lane } from "./lane.ts";

/** Jobs added to each queue, all on one key. */
const JOBS = 6;
/** Of the jobs of a queue, one after the other. */
const PRIORITIES = [7, 0, 3, 0];

function jobsToAdd(): JobToAdd[] {
  return Array.from({ length: JOBS }, (_, index) => ({
    name: `job ${index}`,
    data: { account: "a" },
    opts: { priority: PRIORITIES[index % PRIORITIES.length]! },
  }));
}

/**
 * The scenario that is the same everywhere: jobs on one key, on each of these queues. Expects that they run one at a
 * time, once each, in one attempt, and that they keep their priorities.
 */
export async function contend(redlock: Redlock, lanes: readonly Lane[]): Promise<void> {
  const contest = new Contest(redlock);
  const contended = next(redlock, "conflict");
  await Promise.all(lanes.map((lane) => lane.queue.addBulk(jobsToAdd())));

  for (const lane of lanes) contest.open(lane);
  const { most, jobs, errors } = await contest.ended(JOBS * lanes.length);

  const all = lanes.flatMap(jobsToAdd);
  expect(errors).toEqual([]);
  expect(most).toBe(1);
  expect(contest.started.toSorted()).toEqual(all.map(({ name }) => name).toSorted());
  expect(jobs.map(({ attemptsMade }) => attemptsMade)).toEqual(all.map(() => 1));
  const kept = jobs.map(({ returnvalue, priority }) => `${String(returnvalue)} ${priority}`);
  const given = all.map(({ name, opts }) => `done ${name} ${opts!.priority}`);
  expect(kept.toSorted()).toEqual(given.toSorted());
  expect(await contended).toMatchObject({ key: "account:a" });
}

/** Parks jobs until all wait for one key, and expects that they get it by priority, then in order of arrival. */
export async function queueUp(redlock: Redlock, lane: Lane): Promise<void> {
  const contest = new Contest(redlock);
  const lock = await redlock.acquire("account:a");
  const parked = new Set<string>();
  const allParked = new Promise<void>((resolve) => {
    redlock.on("parked", ({ job }) => {
      if (parked.add(job).size === JOBS) resolve();
    });
  });
  await lane.queue.addBulk(jobsToAdd());
  contest.open(lane);
  await allParked;

  await lock.release();
  const { errors } = await contest.ended(JOBS);

  expect(errors).toEqual([]);
  expect(contest.started).toEqual([1, 3, 5, 2, 0, 4].map((index) => `job ${index}`));
}
