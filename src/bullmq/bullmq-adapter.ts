import type { Job } from "bullmq";
import { nameOf } from "../job-names.ts";
import type { JobState, QueueAdapter } from "../waiters/queue-adapter.ts";
import {
  isAbsentee,
  isAheadOfMove,
  isRetry,
  parseWaiterRecord,
  parsePosition,
  type StoredWaiter,
} from "../waiters/waiter.ts";
import type { Engine } from "../redlock/engine.ts";
import { isGone, type JobClass, jobClassOf, type JobWorker } from "./bullmq-job.ts";
import { waiterOf } from "./job-waiter.ts";

/** For how many milliseconds a fetched job is taken to be unchanged: as long as jobs run to which a round trip matters. */
const FRESH = 250;

/** The state of a job that is not in the delayed set, by BullMQ's state. */
const STATES: Readonly<Record<string, JobState>> = {
  waiting: "on-its-way",
  prioritized: "on-its-way",
  active: "active",
  "waiting-children": "active",
};

/** A job that is likely to be woken in a moment. */
interface Expected {
  readonly at: number;
  readonly job: Promise<Job | undefined>;
  /** The same, once it is there. */
  found?: Job | undefined;
}

/** Wakes the parked jobs of one queue through one of its workers. */
export class BullmqAdapter implements QueueAdapter {
  readonly #name: string;
  readonly #worker: JobWorker;
  readonly #jobs: JobClass;
  readonly #engine: Engine;
  readonly #expected = new Map<string, Expected>();

  constructor(name: string, worker: JobWorker, job: Job, engine: Engine) {
    this.#name = name;
    this.#worker = worker;
    this.#jobs = jobClassOf(job);
    this.#engine = engine;
  }

  prefetch(waiter: StoredWaiter): void {
    const at = this.#engine.clock.now();
    for (const [position, expected] of this.#expected) {
      if (expected.at > at - FRESH) break;
      this.#expected.delete(position);
    }
    const job = this.#find(waiter);
    const expected: Expected = { at, job };
    this.#expected.set(waiter.position, expected);
    // The call that uses it handles the failure.
    job.then((found) => (expected.found = found)).catch(() => undefined);
  }

  wakeNow(waiter: StoredWaiter): Promise<JobState> | undefined {
    const expected = this.#expected.get(waiter.position);
    const job = expected?.found;
    if (expected === undefined || job === undefined || !mayWake(job, waiter)) return undefined;
    if (this.#engine.clock.now() - expected.at >= FRESH) return undefined;
    this.#expected.delete(waiter.position);
    return this.#promote(job, waiter).catch(() => "unknown");
  }

  async wake(waiter: StoredWaiter, onSent?: () => void): Promise<JobState> {
    try {
      const job = await this.#findExpected(waiter);
      if (job === undefined) return "gone";
      if (!mayWake(job, waiter)) return jobStateOf(await job.getState());
      return await this.#promote(job, waiter, onSent);
    } catch {
      // The queue does not answer: the reservation expires, and passes to the next waiter.
      return "unknown";
    }
  }

  async stateOf(waiter: StoredWaiter): Promise<JobState> {
    try {
      const job = await this.#find(waiter);
      if (job === undefined) return "gone";
      const state = await job.getState();
      // It was parked after a job behind it had put it into the wait list, and joins by itself.
      if (state === "delayed" && isAbsentee(waiter) && isUnderWay(job)) return "on-its-way";
      // A job that will run again is delayed by its backoff, or for want of masters.
      const isWaiting = state === "delayed" && (isRetry(waiter) || isRun(job, waiter));
      return isWaiting ? "parked" : jobStateOf(state);
    } catch {
      return "unknown";
    }
  }

  async #promote(job: Job, waiter: StoredWaiter, onSent?: () => void): Promise<JobState> {
    // Sent together: `promote` alone puts the job behind all waiting jobs of its queue. The priority is the present one.
    const sending = Promise.allSettled([
      job.promote(),
      job.changePriority({ priority: job.priority, lifo: true }),
    ]);
    onSent?.();
    const [promoted] = await sending;
    if (promoted.status === "fulfilled") {
      const name = nameOf(job);
      this.#engine.parkedJobs.delete(name);
      this.#engine.events.emit("woken", { job: name, queue: job.queueName });
      return "woken";
    }
    if (!isGone(promoted.reason)) return "unknown";
    const state = jobStateOf(await job.getState());
    return state === "active" && isAheadOfMove(waiter) ? "parking" : state;
  }

  async #findExpected(waiter: StoredWaiter): Promise<Job | undefined> {
    const expected = this.#expected.get(waiter.position);
    this.#expected.delete(waiter.position);
    const isFresh = expected !== undefined && this.#engine.clock.now() - expected.at < FRESH;
    const job = isFresh ? await expected.job.catch(() => undefined) : undefined;
    // It may have been parked again since it was fetched.
    return job !== undefined && isRun(job, waiter) ? job : await this.#find(waiter);
  }

  /** Finds the job at a position; a later job with the same id has another position. */
  async #find({ position }: StoredWaiter): Promise<Job | undefined> {
    const id = parsePosition(position)?.id ?? "";
    const job = await this.#jobs.fromId(this.#worker, id);
    // @protection a removed job is a waiter that is gone
    if (job === undefined) return undefined;
    return waiterOf(job, this.#name, false).position === position ? job : undefined;
  }
}

/** Whether the job has not been taken up again since it was parked. A retry by hand may reset its counts. */
function isRun(job: Job, { record }: StoredWaiter): boolean {
  return (parseWaiterRecord(record)?.run ?? -1) >= job.attemptsStarted;
}

/** Whether the job is, or is to be, parked. One that joined ahead of its move may have had its key since, and have failed. */
function mayWake(job: Job, waiter: StoredWaiter): boolean {
  return isRun(job, waiter) && (!isAheadOfMove(waiter) || isUnderWay(job));
}

/** Whether the job was delayed and has not failed; a job that was delayed before it failed counts too. */
function isUnderWay({ attemptsStarted, attemptsMade, stalledCounter }: Job): boolean {
  return attemptsStarted - attemptsMade - stalledCounter > 0;
}

function jobStateOf(state: string): JobState {
  return STATES[state] ?? "gone";
}
