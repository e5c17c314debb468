import type { Job } from "bullmq";
import type { Clock, Timer } from "../clock.ts";
import { Cancellation } from "../cancellation.ts";
import { isGone, lockDurationOf } from "./job-worker.ts";

/** How many beats fit into the life of BullMQ's lock: two may fail. */
const BEATS_PER_DURATION = 3;

/**
 * Keeps BullMQ's own lock of a job while we have the job.
 *
 * BullMQ does so too, but keeps its list by the id of the job alone. When a job that was put aside comes back to the
 * same worker before the worker has done with its first activation, the second one falls off the list, stalls, and is
 * run twice.
 */
export class JobLockRenewal {
  /** Ends when BullMQ says that the job is not ours any more. */
  readonly lost = new Cancellation();
  readonly #job: Job;
  readonly #jobToken: string | undefined;
  readonly #clock: Clock;
  readonly #duration: number | undefined;
  #timer: Timer | undefined;
  #round = 0;

  constructor(job: Job, jobToken: string | undefined, clock: Clock) {
    this.#clock = clock;
    this.#job = job;
    this.#jobToken = jobToken;
    this.#duration = jobToken === undefined ? undefined : lockDurationOf(job);
  }

  /** Begins, or begins again. */
  start(): void {
    this.stop();
    if (this.#duration === undefined || this.lost.aborted) return;
    const round = this.#round;
    const wait = this.#duration / BEATS_PER_DURATION;
    this.#timer = this.#clock.timer(wait, () => void this.#renewal(round));
  }

  /** Ends at once: an answer that is still under way is not heard any more. Idempotent. */
  stop(): void {
    this.#round += 1;
    this.#clock.clearTimer(this.#timer);
  }

  async #renewal(round: number): Promise<void> {
    const kept = await this.#extend();
    if (round !== this.#round) return;
    if (kept) this.start();
    else this.lost.abort(new Error("BullMQ gave the job to another worker"));
  }

  async #extend(): Promise<boolean> {
    try {
      const extended = await this.#job.extendLock(this.#jobToken ?? "", this.#duration ?? 0);
      return extended !== 0;
    } catch (error) {
      // A connection that is away says nothing about the lock; BullMQ reports it, and the next beat asks again.
      return !isGone(error);
    }
  }
}
