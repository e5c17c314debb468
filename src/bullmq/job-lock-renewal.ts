import type { Job } from "bullmq";
import type { Clock, Timer } from "../clock.ts";
import { Cancellation } from "../cancellation.ts";
import { isGone, lockDurationOf } from "./bullmq-job.ts";

/** How many renewals fit into the life of BullMQ's lock: two may fail. */
const RENEWALS_PER_DURATION = 3;

/**
 * Renews BullMQ's own lock of a job while this activation has the job.
 *
 * BullMQ renews it too, but lists jobs by their id alone. When a delayed job comes back to the same worker before the worker has
 * finished its first activation, the second one is dropped from that list: the job stalls and runs twice.
 */
export class JobLockRenewal {
  /** Aborts when BullMQ reports that another worker may have the job. */
  readonly lost = new Cancellation();
  readonly #job: Job;
  readonly #jobToken: string | undefined;
  readonly #clock: Clock;
  readonly #duration: number | undefined;
  #timer: Timer | undefined;
  #round = 0;
  /** When BullMQ's lock was set or renewed last, by the clock. */
  #renewedAt: number;

  constructor(job: Job, jobToken: string | undefined, clock: Clock) {
    this.#clock = clock;
    this.#job = job;
    this.#jobToken = jobToken;
    this.#duration = jobToken === undefined ? undefined : lockDurationOf(job);
    // The process may have been stopped since it took the job up.
    const { processedOn = Infinity }: Partial<Job> = job;
    this.#renewedAt = clock.now() - Math.max(0, clock.wall() - processedOn);
  }

  /** Whether BullMQ's lock should have ended: the process was blocked or stopped, and the job may have been run by another worker. */
  get isOverdue(): boolean {
    return this.#clock.now() - this.#renewedAt >= (this.#duration ?? Infinity);
  }

  /** Renews at once. @returns false when another worker may have the job. */
  async renew(): Promise<boolean> {
    this.stop();
    await this.#renew(this.#round);
    return !this.lost.aborted;
  }

  /** Starts, or starts again. */
  start(): void {
    this.stop();
    if (this.#duration === undefined || this.lost.aborted) return;
    const round = this.#round;
    const wait = this.#duration / RENEWALS_PER_DURATION;
    this.#timer = this.#clock.timer(wait, () => void this.#renew(round));
  }

  /** Stops at once: the answer to a renewal that is under way is ignored. Idempotent. */
  stop(): void {
    this.#round += 1;
    this.#clock.clearTimer(this.#timer);
  }

  async #renew(round: number): Promise<void> {
    const at = this.#clock.now();
    const kept = await this.#extend();
    if (round !== this.#round) return;
    if (kept) {
      this.#renewedAt = at;
      this.start();
    } else this.lost.abort(new Error("BullMQ gave the job to another worker"));
  }

  async #extend(): Promise<boolean> {
    try {
      const extended = await this.#job.extendLock(this.#jobToken ?? "", this.#duration ?? 0);
      return extended !== 0;
    } catch (error) {
      // A broken connection says nothing about the lock; BullMQ reports it, and the next renewal asks again.
      return !isGone(error);
    }
  }
}
