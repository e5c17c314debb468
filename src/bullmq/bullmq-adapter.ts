import type { Job } from "bullmq";
import { nameOf } from "../job-names.ts";
import type { JobState, QueueAdapter } from "../waiters/queue-adapter.ts";
import {
  isAbsentee,
  parseWaiterRecord,
  parsePosition,
  type StoredWaiter,
} from "../waiters/waiter.ts";
import type { Redlock } from "../redlock/redlock.ts";
import { isGone, type JobClass, type JobWorker } from "./job-worker.ts";
import { waiterOf } from "./job-waiter.ts";

/** Milliseconds for which a job is as it was when it was fetched. */
const FRESH = 100;

/** The states of BullMQ for a job that is not parked. */
const STATES: Readonly<Record<string, JobState>> = {
  waiting: "on-its-way",
  prioritized: "on-its-way",
  active: "active",
  "waiting-children": "active",
};

/** The parked jobs of one queue, by way of one of its workers. */
export class BullmqAdapter implements QueueAdapter {
  readonly #name: string;
  readonly #worker: JobWorker;
  readonly #jobs: JobClass;
  readonly #redlock: Redlock;
  readonly #expected = new Map<
    string,
    { readonly at: number; readonly job: Promise<Job | undefined> }
  >();

  constructor(name: string, worker: JobWorker, job: Job, redlock: Redlock) {
    this.#name = name;
    this.#worker = worker;
    this.#jobs = job.constructor as unknown as JobClass;
    this.#redlock = redlock;
  }

  prefetch(waiter: StoredWaiter): void {
    const at = this.#redlock.clock.now();
    for (const [position, expected] of this.#expected) {
      if (expected.at > at - FRESH) break;
      this.#expected.delete(position);
    }
    const job = this.#find(waiter);
    // Whoever takes it hears of that.
    job.catch(() => undefined);
    this.#expected.set(waiter.position, { at, job });
  }

  async wake(waiter: StoredWaiter, onSent?: () => void): Promise<JobState> {
    try {
      const job = await this.#findExpected(waiter);
      if (job === undefined) return "gone";
      if (!isRun(job, waiter)) return stateIn(await job.getState());
      // Sent together: alone, `promote` puts the job behind all that waits in its queue. The priority is the one it has now.
      const sending = Promise.allSettled([
        job.promote(),
        job.changePriority({ priority: job.priority, lifo: true }),
      ]);
      onSent?.();
      const [promoted] = await sending;
      if (promoted.status === "fulfilled") {
        const name = nameOf(job);
        this.#redlock.parkedJobs.delete(name);
        this.#redlock.emit("woken", { job: name, queue: job.queueName });
        return "woken";
      }
      return isGone(promoted.reason) ? stateIn(await job.getState()) : "unknown";
    } catch {
      // The queue does not answer; the turn goes by, and others come first.
      return "unknown";
    }
  }

  async stateOf(waiter: StoredWaiter): Promise<JobState> {
    try {
      const job = await this.#find(waiter);
      if (job === undefined) return "gone";
      const state = await job.getState();
      // It was parked since others put it in line, and joins itself.
      if (state === "delayed" && isAbsentee(waiter) && isUnderWay(job)) return "on-its-way";
      return state === "delayed" && isRun(job, waiter) ? "parked" : stateIn(state);
    } catch {
      return "unknown";
    }
  }

  async #findExpected(waiter: StoredWaiter): Promise<Job | undefined> {
    const expected = this.#expected.get(waiter.position);
    this.#expected.delete(waiter.position);
    const isFresh = expected !== undefined && this.#redlock.clock.now() - expected.at < FRESH;
    const job = isFresh ? await expected.job.catch(() => undefined) : undefined;
    // It may have been parked since.
    return job !== undefined && isRun(job, waiter) ? job : await this.#find(waiter);
  }

  /** The job of a place; another one that was given the same id has another place. */
  async #find({ position }: StoredWaiter): Promise<Job | undefined> {
    const id = parsePosition(position)?.id ?? "";
    const job = await this.#jobs.fromId(this.#worker, id);
    if (job === undefined) return undefined;
    return waiterOf(job, this.#name, false).position === position ? job : undefined;
  }
}

/** Whether the job has not been taken up again since it was parked. Who retries it by hand may set back what it counts. */
function isRun(job: Job, { record }: StoredWaiter): boolean {
  return (parseWaiterRecord(record)?.run ?? -1) >= job.attemptsStarted;
}

/** Whether the job was put aside, and has not failed; one that was put aside before it failed seems so too. */
function isUnderWay({ attemptsStarted, attemptsMade, stalledCounter }: Job): boolean {
  return attemptsStarted - attemptsMade - stalledCounter > 0;
}

function stateIn(state: string): JobState {
  return STATES[state] ?? "gone";
}
