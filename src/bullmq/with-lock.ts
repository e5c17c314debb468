import type { Job, JobProgress } from "bullmq";
import { describeValue, LockConfigError } from "../errors.ts";
import type { CheckTemplate } from "../keys/template-types.ts";
import { activate } from "./activation.ts";
import type { Lock } from "./lock.ts";
import { checkLockOptions, type LockPolicies } from "./options.ts";
import { type LockedProcessor, runLocked } from "./run.ts";

/** What BullMQ takes for the data of a job whose type nobody said. */
type AnyData = Job["data"];
type AnyResult = Job["returnvalue"];

/**
 * Options of {@link withLock}: the policies, and the key.
 *
 * `D`, `R`, `N` and `P` are those of the `Job`, `K` is the key template, which is checked against `D`.
 */
export interface WithLockOptions<
  D = AnyData,
  R = AnyResult,
  N extends string = string,
  P extends JobProgress = JobProgress,
  K extends string = string,
> extends LockPolicies<Job<D, R, N, P>> {
  /**
   * What to lock: a template such as `"account:{{data.accountId}}"`, several of them, or a function that gives a key,
   * several keys or `null` for a job that needs no lock. Of several keys all are taken, or none. A key that cannot be
   * made fails the job for good.
   */
  key:
    | (K & CheckTemplate<K, D>)
    | readonly (K & CheckTemplate<K, D>)[]
    | ((job: Job<D, R, N, P>) => string | readonly string[] | null);
}

/**
 * A processor for a `Worker`: BullMQ's `Processor<D, R, N, P>`, which also fits where the results of jobs have another
 * type, as when it always throws.
 */
export type LockingProcessor<
  D = AnyData,
  R = AnyResult,
  N extends string = string,
  P extends JobProgress = JobProgress,
> = (job: Job<D, AnyResult, N, P>, jobToken?: string, signal?: AbortSignal) => Promise<R>;

/**
 * Wraps a processor so that no two jobs with the same key run at the same time, in whatever process or queue.
 *
 * The processor gets four arguments: the job, BullMQ's token, a signal, and the lock. The signal aborts when the worker
 * cancels the job, when the lock is lost, and when BullMQ's own lock of the job is lost. The lock is always there; the
 * one of a job that runs without a lock has no `keys` and is never `held`. It is given back when the processor has
 * settled, and before BullMQ hears of it.
 *
 * What the processor returns or throws is the job's outcome, as without a lock, unless the lock was lost meanwhile: see
 * `onLost`.
 *
 * While a job is waited for, or runs, BullMQ's own lock of it is renewed too, unless the worker has `skipLockRenewal`.
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
  D = AnyData,
  R = AnyResult,
  N extends string = string,
  P extends JobProgress = JobProgress,
  const K extends string = string,
>(
  options: WithLockOptions<D, NoInfer<R>, N, P, K>,
  processor: (
    job: Job<D, NoInfer<R>, N, P>,
    jobToken: string,
    signal: AbortSignal,
    lock: Lock,
  ) => Promise<R>,
): LockingProcessor<D, R, N, P> {
  const settings = checkLockOptions(options);
  if (typeof processor !== "function") {
    throw new LockConfigError({
      path: "processor",
      found: describeValue(processor),
      expected: "a function that processes a job",
    });
  }
  // BullMQ gives the signal only to a function that declares three plain parameters.
  return async function lockedProcessor(job, jobToken, signal) {
    const activation = await activate(settings, job as Job, jobToken, signal);
    return (await runLocked(activation, processor as LockedProcessor)) as R;
  };
}
