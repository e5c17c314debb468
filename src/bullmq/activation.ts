import type { Job } from "bullmq";
import { requireObject, requireText } from "../check-options.ts";
import { describeValue } from "../sentences.ts";
import type { RedlockWarning } from "../events.ts";
import { nameOf, queueNameOf } from "../job-names.ts";
import { printable } from "../printable.ts";
import type { Waiter } from "../waiters/waiter.ts";
import { JobLockRenewal } from "./job-lock-renewal.ts";
import { waiterOf } from "./job-waiter.ts";
import type { JobLocks } from "./job-locks.ts";
import { canSupersede } from "./conflict-effects.ts";
import type { LockSettings } from "./lock-settings.ts";
import { contextOf, type WorkerContext } from "./worker-context.ts";

/** One time that a worker takes up a job. */
export class Activation {
  readonly context: WorkerContext;
  readonly locks: JobLocks;
  readonly settings: LockSettings;
  readonly job: Job;
  readonly jobToken: string | undefined;
  /** BullMQ's signal: aborts when the job is cancelled. */
  readonly cancel: AbortSignal | undefined;
  /** The renewal of BullMQ's own lock; to be started and stopped. */
  readonly renewal: JobLockRenewal;
  /** The job as a waiter; `undefined` when jobs of its queue cannot be woken. */
  readonly waiter: Waiter | undefined;
  /** The keys to lock; empty until they are made, and for a job that needs no lock. */
  keys: readonly string[] = [];
  /** How many holders each of its keys may have, once it has keys; `undefined` when each may have one. */
  limits: readonly number[] | undefined;
  /** When the job joined the wait list of its key as if it were parked, by the clock; `undefined` when it did not. */
  joinedAt: number | undefined;

  constructor(
    context: WorkerContext,
    locks: JobLocks,
    settings: LockSettings,
    job: Job,
    jobToken: string | undefined,
    cancel: AbortSignal | undefined,
  ) {
    this.context = context;
    this.locks = locks;
    this.settings = settings;
    this.job = job;
    this.jobToken = jobToken;
    this.cancel = cancel;
    this.renewal = new JobLockRenewal(job, jobToken, settings.engine.clock);
    const { queueId } = context;
    this.waiter = queueId === undefined ? undefined : this.#waiterIn(queueId);
  }

  #waiterIn(queueId: string): Waiter {
    const { onConflict, retryOrder } = this.settings;
    const waiter = waiterOf(this.job, queueId, canSupersede(onConflict));
    return { ...waiter, keepsRetries: retryOrder === "keep" };
  }

  /** Aborts when the worker begins to close. */
  get closing(): AbortSignal {
    return this.context.closing;
  }

  /**
   * The error of a job that was cancelled and has not run; `undefined` when it was not cancelled.
   *
   * BullMQ's reason is the bare text given to `cancelJob`; thrown as it is, the job would fail without a reason.
   */
  get cancelled(): Error | undefined {
    if (this.cancel?.aborted !== true) return undefined;
    const reason: unknown = this.cancel.reason;
    if (reason instanceof Error) return reason;
    const text = typeof reason === "string" ? reason : describeValue(reason);
    return new Error(`cancelled before it acquired its lock: ${text}`);
  }

  /** Milliseconds since the job was to run; 0 for a plain object that stands for a job and has no time. */
  get age(): number {
    const now = this.settings.engine.clock.wall();
    const { timestamp, opts }: Partial<Job> = this.job;
    return timestamp === undefined ? 0 : now - timestamp - (opts?.delay ?? 0);
  }

  /** Milliseconds until the job is too old to start. */
  get startableFor(): number {
    const { maxAge = Infinity } = this.settings;
    return Math.max(0, maxAge - this.age);
  }

  /** Leaves the wait lists and throws when the job was cancelled, whatever else happened to its lock. */
  throwIfCancelled(): void {
    const { cancelled } = this;
    if (cancelled === undefined) return;
    this.leave();
    throw cancelled;
  }

  /** Leaves the wait lists of its keys, which the job may have joined at its conflict. */
  leave(): void {
    const { waiter, keys, settings } = this;
    if (waiter !== undefined) void settings.engine.waitLists.leave(waiter, keys);
  }

  /** Writes to the log of the job, unless `jobLogs` is `"off"`. */
  async log(text: string): Promise<void> {
    // A plain object that stands for a job may have no log.
    if (this.settings.jobLogs === "off" || !("log" in this.job)) return;
    try {
      await this.job.log(`[lock] ${text}`);
    } catch (cause) {
      // A log is no reason to fail a job.
      const what = `could not write to the log of job ${nameOf(this.job)}`;
      this.warn("job-log-failed", what, cause);
    }
  }

  /** Emits a warning about this job. */
  warn(code: RedlockWarning["code"], what: string, cause: unknown): void {
    const why = cause instanceof Error ? cause.message : describeValue(cause);
    const message = printable(`${what}: ${why}`);
    this.settings.engine.events.emit("warning", { code, message, cause });
  }
}

/** Begins an activation: the job is not parked any longer. @throws {LockConfigError} for a plain object without a `queueName`. */
export async function activate(
  locks: JobLocks,
  job: Job,
  jobToken: string | undefined,
  cancel: AbortSignal | undefined,
): Promise<Activation> {
  requireObject("job", job, "a job with its queueName");
  // A plain object that stands for a job may lack it.
  requireText("job.queueName", queueNameOf(job), "the name of its queue");
  const settings = locks.settingsOf(job);
  const { engine } = settings;
  const context = contextOf(job);
  const opening = context.open(engine, job, locks);
  if (opening !== undefined) await opening;
  context.checkSettings(settings, job);
  if (!engine.parkedJobs.isEmpty) engine.parkedJobs.delete(nameOf(job));
  return new Activation(context, locks, settings, job, jobToken, cancel);
}
