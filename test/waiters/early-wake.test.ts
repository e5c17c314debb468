import { expect, it } from "vitest";
import { engineOf } from "../../src/redlock/redlock.ts";
import type { JobState, QueueAdapter } from "../../src/waiters/queue-adapter.ts";
import {
  parsePosition,
  positionOf,
  type StoredWaiter,
  type Waiter,
} from "../../src/waiters/waiter.ts";
import { simulate } from "../support/simulated-redlock.ts";

const OPTIONS = { ttl: 10_000, nodeTimeout: 100 };

/** A queue whose jobs are all parked. It notes what it is asked. */
class ParkedJobs implements QueueAdapter {
  readonly asked: string[] = [];
  readonly hastened: string[] = [];
  /** What the next wake-ups find. @defaultValue parked jobs */
  readonly states: JobState[] = [];

  readonly isClosing = false;

  wake(waiter: StoredWaiter, onSent?: () => void): Promise<JobState> {
    this.asked.push(`wake ${parsePosition(waiter.position)?.id ?? ""}`);
    onSent?.();
    return Promise.resolve(this.states.shift() ?? "woken");
  }

  hasten(waiter: StoredWaiter): Promise<void> {
    this.hastened.push(parsePosition(waiter.position)?.id ?? "");
    return Promise.resolve();
  }

  stateOf(): Promise<JobState> {
    return Promise.resolve("parked");
  }
}

function waiterOf(id: number, since = id): Waiter {
  return {
    position: positionOf(since, "q", String(id)),
    priority: 0,
    queueId: "q",
    run: 1,
    replaceable: false,
  };
}

/** Jobs that are parked for a key, which the first of them has got. */
async function start(...ids: number[]) {
  const { clock, redlock } = simulate(3, OPTIONS);
  const engine = engineOf(redlock);
  const jobs = new ParkedJobs();
  engine.waitLists.open("q", jobs);
  const holder = await clock.until(redlock.acquire("k"));
  const park = async (waiter: Waiter): Promise<void> => {
    const how = { state: "parked", tries: 0, heldBackFor: OPTIONS.ttl } as const;
    await clock.until(engine.waitLists.join(waiter, ["k"], how));
  };
  for (const id of ids) await park(waiterOf(id));
  await clock.until(holder.release());
  const job = { waiter: waiterOf(ids[0] ?? 0), listed: true };
  const lock = await clock.until(engine.acquire("k", {}, true, job));
  return { clock, redlock, jobs, park, lock };
}

it("wakes the next job in the tick in which the key is released, and no second time", async () => {
  const { clock, jobs, lock } = await start(1, 2, 3);
  expect(jobs.asked).toEqual(["wake 1"]);
  const released = lock.release();
  expect(jobs.asked).toEqual(["wake 1", "wake 2"]);
  expect(lock.wokeNext).toBe(true);
  await clock.until(released);
  await clock.until(lock.handedOver ?? Promise.reject(new Error("nothing was handed over")));
  expect(jobs.asked).toEqual(["wake 1", "wake 2"]);
});

it("also wakes a job that has come before that one since", async () => {
  const { clock, jobs, park, lock } = await start(1, 3, 4);
  await park(waiterOf(2));
  await clock.until(lock.release());
  await clock.until(lock.handedOver ?? Promise.reject(new Error("nothing was handed over")));
  expect(jobs.asked).toEqual(["wake 1", "wake 3", "wake 2"]);
});

it("wakes no job while the key is kept for a retry, or stays taken", async () => {
  for (const [holdFor, keepsRetry] of [
    [0, true],
    [50, false],
  ] as const) {
    const { clock, jobs, lock } = await start(1, 2, 3);
    const released = lock.releaseAfter(holdFor, "", keepsRetry);
    expect(lock.wokeNext).toBe(false);
    await clock.until(released);
    expect(jobs.asked).toEqual(["wake 1"]);
  }
});

it("wakes a job again that was not moved yet, long before its reservation expires", async () => {
  const { clock, jobs, lock } = await start(1, 2, 3);
  jobs.states.push("parking", "parking");
  await clock.until(lock.release());
  await clock.until(lock.handedOver ?? Promise.reject(new Error("nothing was handed over")));
  expect(jobs.asked).toEqual(["wake 1", "wake 2"]);
  await clock.pass(20);
  expect(jobs.asked).toEqual(["wake 1", "wake 2", "wake 2", "wake 2"]);
});

it("tries again after 1 and 4 ms when a woken job comes before the release", async () => {
  const { clock, redlock, lock } = await start(1, 2);
  const late = engineOf(redlock).acquire("k", {}, true, { waiter: waiterOf(2), listed: true });
  clock.timer(3, () => void lock.release());
  const next = await clock.until(late);
  expect(next.held).toBe(true);
});
