import type { Job } from "bullmq";
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
import { isGone, type JobClass, jobClassOf, type JobWorker, sendTogether } from "./bullmq-job.ts";
import { alarm } from "./job-delay.ts";
import { asksFor, type JobLocks } from "./job-locks.ts";
import { isUnderWay, readWait } from "./job-wait.ts";
import { waiterOf } from "./job-waiter.ts";
import { remindWorkers, runHasten, runWake } from "./wake-script.ts";
import type { WorkerSlots } from "./worker-slots.ts";

/** The state of a job that is not in the delayed set, by BullMQ's state. */
const STATES: Readonly<Record<string, JobState>> = {
  waiting: "on-its-way",
  prioritized: "on-its-way",
  active: "active",
  "waiting-children": "active",
};

/** Wakes the parked jobs of one queue through one of its workers. */
export class BullmqAdapter implements QueueAdapter {
  readonly #name: string;
  readonly #worker: JobWorker;
  readonly #slots: WorkerSlots;
  readonly #queue: string;
  readonly #jobs: JobClass;
  readonly #engine: Engine;
  readonly #locks: JobLocks;

  constructor(
    name: string,
    { worker, slots }: { readonly worker: JobWorker; readonly slots: WorkerSlots },
    job: Job,
    engine: Engine,
    locks: JobLocks,
  ) {
    this.#name = name;
    this.#worker = worker;
    this.#slots = slots;
    this.#queue = job.queueName;
    this.#jobs = jobClassOf(job);
    this.#engine = engine;
    this.#locks = locks;
  }

  get isClosing(): boolean {
    return this.#worker.closing !== undefined;
  }

  async wake(waiter: StoredWaiter, onSent?: () => void): Promise<JobState> {
    try {
      sendTogether(this.#worker);
      const reply = await runWake(this.#worker, waiter, onSent);
      if (reply === "woken") return this.#woken(waiter);
      const job = await this.#find(waiter);
      if (job === undefined) return "gone";
      const isCandidate = mayWake(job, waiter);
      if (reply === "special" && isCandidate) {
        // Sent together: `promote` alone puts the job behind all waiting jobs of its queue.
        const [promoted] = await Promise.allSettled([
          job.promote(),
          job.changePriority({ priority: job.priority, lifo: true }),
        ]);
        if (promoted.status === "fulfilled") return this.#woken(waiter);
        if (!isGone(promoted.reason)) return "unknown";
      }
      const state = await job.getState();
      const known = jobStateOf(state);
      // The process that has woken it may be gone, and other workers of the queue have no free worker slot.
      if (known === "on-its-way") this.#slots.makeRoom();
      // Its worker had not moved it yet; it may have done so since.
      const isMoving = state === "active" || state === "delayed";
      return isCandidate && isMoving && isAheadOfMove(waiter) ? "parking" : known;
    } catch {
      // The queue does not answer: the reservation expires, and passes to the next waiter.
      return "unknown";
    }
  }

  async hasten(waiter: StoredWaiter): Promise<void> {
    const { clock, settings } = this.#engine;
    const { ttl } = settings;
    const ms = alarm({ expiresIn: ttl, ahead: 0, ttl }, 0);
    try {
      await runHasten(this.#worker, waiter, clock.wall() + ms);
    } catch {
      // It comes back later, as it was parked.
    }
  }

  async stateOf(waiter: StoredWaiter, key: string): Promise<JobState> {
    try {
      const job = await this.#find(waiter);
      if (job === undefined) return "gone";
      const state = await job.getState();
      // @protection a job whose data has changed keeps no key that it asks for no more
      if (!this.#asksFor(key, job)) {
        // No reservation wakes it: it waits for its new key from now on.
        if (state === "delayed" && !isRetry(waiter)) void this.wake(waiter);
        return "gone";
      }
      if (state === "delayed" && isAbsentee(waiter) && isUnderWay(job)) {
        const { keys } = await readWait(job);
        // It was parked after a job behind it had put it into the wait list. With one key it joins by itself; with several it may have
        // left this list, because the key was free, and another one was not.
        return keys.length > 1 ? "gone" : "on-its-way";
      }
      // Its key stands still until it runs.
      if (state === "delayed" && isRetry(waiter)) {
        remindWorkers(this.#worker).catch(() => undefined);
      }
      // A job that will run again is delayed by its backoff, or for want of masters.
      const isWaiting = state === "delayed" && (isRetry(waiter) || isRun(job, waiter));
      if (state === "active" && isAheadOfMove(waiter) && mayWake(job, waiter)) return "parking";
      return isWaiting ? "parked" : jobStateOf(state);
    } catch {
      return "unknown";
    }
  }

  /** Whether the job, as it is now, needs the key; true where its processor may lock other keys than the worker's first one. */
  #asksFor(key: string, job: Job): boolean {
    if (!this.#locks.coverAll(this.#worker)) return true;
    return asksFor(this.#locks.settingsOf(job), job, [key]);
  }

  #woken({ position }: StoredWaiter): JobState {
    this.#slots.makeRoom();
    const id = parsePosition(position)?.id ?? "";
    const job = `${this.#worker.qualifiedName ?? ""}:${id}`;
    this.#engine.parkedJobs.delete(job);
    this.#engine.events.emit("woken", { job, queue: this.#queue });
    return "woken";
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

function jobStateOf(state: string): JobState {
  return STATES[state] ?? "gone";
}
