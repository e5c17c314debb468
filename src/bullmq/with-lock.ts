import type { Job } from "bullmq";
import { requireFunction } from "../check-options.ts";
import type { Lock } from "../lock/lock.ts";
import type { JobLocks } from "./job-locks.ts";
import { checkLockOptions, type LockSettings } from "./lock-settings.ts";
import type {
  ConflictPolicy,
  MaxWaitPolicy,
  SkippedResult,
  SkippedUnder,
  WithLockOptions,
} from "./options.ts";
import { type LockedProcessor, runLocked } from "./run.ts";

/** A processor for a `Worker` of BullMQ 5 or 6: `J` is the type of the job, `R` what the job completes with. */
export type LockingProcessor<J extends Job = Job, R = J["returnvalue"]> = (
  job: J,
  jobToken?: string,
  signal?: AbortSignal,
) => Promise<R>;

/**
 * Wraps a processor so that no two jobs with the same key run at the same time, in any process or queue.
 *
 * The processor gets four arguments: the job, BullMQ's token, a signal, and the lock. The signal aborts when the worker
 * cancels the job, when the lock is lost, and when BullMQ's own lock of the job is lost. The lock is always there; the lock of a
 * job that runs without one has no `keys` and is never `held`. Its release is sent after the processor has settled, and
 * before BullMQ receives the outcome. As in BullMQ, a function that declares one or two parameters gets no signal: name the third,
 * or use `getLock(job).signal`, which aborts when the lock is lost.
 *
 * What the processor returns or throws is the job's outcome, as without a lock, unless the lock was lost while it ran: see
 * `onLost`.
 *
 * While a job waits in its worker slot or runs, BullMQ's own lock of it is renewed too, unless the worker has `skipLockRenewal`.
 *
 * All types are inferred, `J` from the job's annotation or from the worker: write no type arguments. Where a policy may skip
 * a job, the result includes what the job completes with then.
 *
 * @returns a processor for a `Worker` of BullMQ 5.72.1 or later.
 * @throws {LockConfigError} for an option that cannot work.
 * @example
 * new Worker("invoices", withLock({ redlock, key: "account:{{data.accountId}}" },
 *   async (job: Job<Invoice>, jobToken, signal, lock) => {
 *     await charge(job.data.accountId, { fence: lock.fencingToken, signal });
 *   }), { connection });
 */
export function withLock<
  J extends Job = Job,
  R = J["returnvalue"],
  const K extends string = string,
  C extends ConflictPolicy = "delay",
  M extends MaxWaitPolicy = "fail",
  S = SkippedResult,
>(
  options: WithLockOptions<J, K, C, M, S>,
  processor: (job: J, jobToken: string, signal: AbortSignal, lock: Lock) => Promise<R>,
): LockingProcessor<J, R | SkippedUnder<C, M, NoInfer<S>>> {
  const settings = checkLockOptions(options);
  requireFunction(
    "processor",
    processor,
    "a function that processes a job; a LockedWorker takes one in a file",
  );
  return lockProcessor(() => settings, processor);
}

/** As {@link withLock}, with settings for each job. */
export function lockProcessor<J extends Job, R>(
  settingsOf: (job: Job) => LockSettings,
  processor: (job: J, jobToken: string, signal: AbortSignal, lock: Lock) => Promise<unknown>,
): LockingProcessor<J, R> {
  const run = processor as LockedProcessor;
  const locks: JobLocks = {
    settingsOf,
    coverAll: ({ processFn }) => processFn === lockedProcessor,
  };
  // BullMQ gives the signal only to a function that declares three plain parameters.
  async function lockedProcessor(job: J, jobToken?: string, signal?: AbortSignal): Promise<R> {
    return (await runLocked(locks, job, jobToken, signal, run)) as R;
  }
  return lockedProcessor;
}
