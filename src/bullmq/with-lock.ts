import type { Job } from "bullmq";
import { LockConfigError } from "../errors.ts";
import type { CheckTemplate } from "../keys/template-types.ts";
import { activate } from "./activation.ts";
import type { Lock } from "./lock.ts";
import {
  checkLockOptions,
  type ConflictPolicy,
  type LockPolicies,
  type MaxWaitPolicy,
  type SkippedResult,
  type SkippingPolicy,
} from "./options.ts";
import { type LockedProcessor, runLocked } from "./run.ts";
import { describeValue } from "../sentences.ts";

/**
 * Options of {@link withLock}: the policies, and the key.
 *
 * `J` is the type of the job, `K` the key template, which is checked against the data of `J`.
 */
export interface WithLockOptions<
  J extends Job = Job,
  K extends string = string,
  C extends ConflictPolicy = ConflictPolicy,
  M extends MaxWaitPolicy = MaxWaitPolicy,
  S = J["returnvalue"],
> extends LockPolicies<J, C, M, S> {
  /**
   * What to lock: a template such as `"account:{{data.accountId}}"`, several of them, or a function that gives a key,
   * several keys or `null` for a job that needs no lock. Of several keys all are taken, or none. A key that cannot be
   * made fails the job for good.
   */
  key:
    | (K & CheckTemplate<K, J["data"]>)
    | readonly (K & CheckTemplate<K, J["data"]>)[]
    | ((job: J) => string | readonly string[] | null);
}

/** A processor for a `Worker` of BullMQ 5 or 6: `J` is the type of the job, `R` what the job completes with. */
export type LockingProcessor<J extends Job = Job, R = J["returnvalue"]> = (
  job: J,
  jobToken?: string,
  signal?: AbortSignal,
) => Promise<R>;

/** What a job completes with instead of having run, under these policies and this result of `skipResult`. */
export type SkippedUnder<C extends ConflictPolicy, M extends MaxWaitPolicy, S> =
  | ([Extract<C, SkippingPolicy>] extends [never] ? never : S)
  // A job that waited for masters out of reach has no conflict that skipResult could be given.
  | ("skip" extends M ? S | SkippedResult : never);

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
  if (typeof processor !== "function") {
    throw new LockConfigError({
      path: "processor",
      found: describeValue(processor),
      expected: "a function that processes a job",
    });
  }
  // BullMQ gives the signal only to a function that declares three plain parameters.
  return async function lockedProcessor(job, jobToken, signal) {
    const activation = await activate(settings, job, jobToken, signal);
    return (await runLocked(activation, processor as LockedProcessor)) as R;
  };
}
