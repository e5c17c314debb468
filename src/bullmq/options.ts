import type { Job } from "bullmq";
import type { LockConflictError } from "../errors.ts";
import type { LimitOption } from "../keys/limit.ts";
import type { LockKeys } from "../keys/normalise.ts";
import type { CheckTemplate } from "../keys/template-types.ts";
import type { Redlock } from "../redlock/redlock.ts";

// Of each list the first is the default.
export const CONFLICT_POLICIES = [
  "delay",
  "wait",
  "skip",
  "fail",
  "keepLatest",
  "cancelInProgress",
] as const;
export const UNAVAILABLE_POLICIES = ["delay", "fail", "run"] as const;
export const LOST_POLICIES = ["delay", "fail", "continue"] as const;
export const MAX_WAIT_POLICIES = ["fail", "skip"] as const;
export const ORDERS = ["arrival", "strict"] as const;
export const RETRY_ORDERS = ["rejoin", "keep"] as const;
export const JOB_LOGS = ["conflicts", "off", "all"] as const;

/** What a job does when another holder has its key. */
export type ConflictPolicy = (typeof CONFLICT_POLICIES)[number];
/** The policies that may complete a job without having run it. */
export type SkippingPolicy = Extract<ConflictPolicy, "skip" | "keepLatest" | "cancelInProgress">;
/** What a job does while too few lock masters answer. */
export type UnavailablePolicy = (typeof UNAVAILABLE_POLICIES)[number];
/** What a job does that lost its lock while it ran. */
export type LostPolicy = (typeof LOST_POLICIES)[number];
/** What a job does that has waited for as long as it may, or is too old to start. */
export type MaxWaitPolicy = (typeof MAX_WAIT_POLICIES)[number];
/** Which of several jobs gets a free key. */
type LockOrder = (typeof ORDERS)[number];
/** What happens to the keys of a job that will run again. */
type RetryOrder = (typeof RETRY_ORDERS)[number];
/** Which lines are written to the log of a job. */
export type JobLogs = (typeof JOB_LOGS)[number];

/**
 * Options of `withLock` but for the key. All durations are whole milliseconds. `J` is the type of the job; `C`, `M` and `S`
 * are the choices of `onConflict` and `onMaxWait` and the result of `skipResult`.
 */
export interface LockPolicies<
  J,
  C extends ConflictPolicy = ConflictPolicy,
  M extends MaxWaitPolicy = MaxWaitPolicy,
  S = unknown,
> {
  /** The client to lock with. It may serve any number of processors, and must be closed after their workers. */
  redlock: Redlock;
  /**
   * What a job does when another holder has its key:
   *
   * - `"delay"` parks it: the job moves to the delayed set, joins the wait list of its keys, and is woken when a key is reserved
   *   for it. Its worker slot is free for other jobs, no attempt is used, the priority is kept. A job of a queue on PostgreSQL is
   *   tried again with growing pauses instead.
   * - `"wait"` waits in its worker slot, in the same wait list, for up to `waitTimeout`, then as `"delay"`; at once when the worker
   *   closes, and for the last that waits when a parked job is next and all worker slots are taken. A job that is cancelled while it waits fails.
   * - `"skip"` completes it with a {@link SkippedResult}, or the result of `skipResult`. A retry of a job that failed is delayed
   *   instead, because its work has not been done. A function that chooses `"skip"` skips retries too.
   * - `"fail"` throws the `LockConflictError`; an attempt is used. A function that throws an `UnrecoverableError` fails the job
   *   for good.
   * - `"keepLatest"` parks it, and completes older jobs under this policy with a {@link SkippedResult}: the newest wins. A job
   *   is superseded by a newer one that waits, holds the key, or has succeeded within the last hour; so is a retry. The newer
   *   job is the one that was to run later.
   * - `"cancelInProgress"` does the same, and asks a holder that is older and has this policy too, in any process, to stop: its
   *   signal aborts, and if its processor throws then, the job fails for good with `cancelled by ...`. The result of a
   *   processor that returns nevertheless stands.
   *
   * A function chooses for each job; `conflict.waiting` is the number of other waiters. Where the holder is another run of the
   * same job, left over after a kill or a stall, the job is delayed under every policy.
   * @defaultValue `"delay"`
   */
  onConflict?: C | ((job: J, conflict: LockConflictError) => C | Promise<C>);
  /**
   * Which of several jobs gets a free key. Jobs that wait for a taken key are in order in any case.
   *
   * - `"arrival"`: the job whose request reaches a majority of the masters first, in any order of the queue.
   * - `"strict"`: the job that is before the others in its queue, also when a worker has taken it up and is slow to ask for its
   *   key; the others wait for it, up to two seconds. Not with `onConflict: "wait"`. It costs each job one more request to its
   *   queue. For jobs of one queue; ignored, with a warning, on a queue on PostgreSQL.
   * @defaultValue `"arrival"`
   */
  order?: LockOrder;
  /**
   * Which jobs of its keys run between a failed attempt of a job and its retry.
   *
   * - `"rejoin"`: any. The retry takes its old position when it has to wait again.
   * - `"keep"`: none. The keys stay reserved for the job, for up to ten minutes, until its retry has them, it has failed for good
   *   or completed, or it is removed; the worker slot is free. So they do for a job whose worker is killed, or that lost its lock,
   *   counted from its last heartbeat. It costs each job one more request to the masters. Not with `"keepLatest"` or
   *   `"cancelInProgress"`, by which a later job comes first; ignored, with a warning, on a queue on PostgreSQL.
   * @defaultValue `"rejoin"`
   */
  retryOrder?: RetryOrder;
  /**
   * What a job does while too few lock masters answer: `"delay"` tries again with growing pauses, `"fail"` throws the
   * `LockUnavailableError`, `"run"` runs it without a lock, which its log shows.
   * @defaultValue `"delay"`
   */
  onUnavailable?: UnavailablePolicy;
  /**
   * What happens to a job that lost its lock, once its processor has settled. Its signal aborts in any case.
   *
   * - `"delay"` runs it again without using an attempt, as BullMQ does with a stalled job, at most three times in a row; then as
   *   `"fail"`. The count is kept in the job's `stacktrace`.
   * - `"fail"` throws the `LockLostError`, with the processor's own error as its `cause`; an attempt is used.
   * - `"continue"` lets the result, or the processor's own error, stand.
   *
   * Errors that steer BullMQ, such as `DelayedError`, always pass.
   * @defaultValue `"delay"`
   */
  onLost?: LostPolicy;
  /** How long a lock lives when it is not extended. @defaultValue the `Redlock`'s */
  ttl?: number;
  /** Time between two extends of the lock; `false` for none. @defaultValue the `Redlock`'s, or a third of `ttl` */
  heartbeat?: number | false;
  /** How long a job waits in its worker slot under `"wait"`. @defaultValue 5000 */
  waitTimeout?: number;
  /**
   * How many jobs may hold a key at the same time, from 1 to 1000: a number, a template such as `"{{data.plan.jobs}}"`, or a function
   * of the job. A key that the function `key` returns may have a limit of its own. Every process obeys its own limit. A job whose
   * limit cannot be made fails for good.
   * @defaultValue 1
   */
  limit?: LimitOption<J>;
  /**
   * How long a job may wait in the delayed set, for conflicts and for unreachable masters alike, since it was first parked or
   * delayed. The wait begins anew when the job has held its key, or failed, in between. It is measured by the wall clocks of the
   * workers, and checked when the job would be parked or delayed again. Kept in the hash of the job in the queue's Redis;
   * ignored, with a warning, on a queue on PostgreSQL.
   * @defaultValue none
   */
  maxWait?: number;
  /**
   * How old a job may be when it starts, counted from the time at which it was to run (`timestamp` + `delay`). An older job does
   * not start, neither from the backlog of its queue, nor after a wait in its worker slot or in the delayed set, nor as a retry. It is
   * checked by the wall clock of the worker, at the latest when the job has its key. The job fails for good, with the code
   * `ERR_REDLOCK_MAX_AGE`, or is skipped, as `onMaxWait` says. A job without a key has no such limit.
   * @defaultValue none
   */
  maxAge?: number;
  /**
   * How long a job may hold its lock. Then the heartbeat ends and the signal aborts; once the processor has settled, the job
   * fails with a `LockLostError`, unless `onLost` is `"continue"`. The lock itself ends with its ttl at the latest.
   * @defaultValue none
   */
  maxHold?: number;
  /**
   * How long, from the grant on, the keys stay taken after a job that succeeded: a task that is scheduled in several places
   * then runs once. At most the `maxTtl` of the `Redlock`. A failure releases the keys at once.
   * @defaultValue 0
   */
  minHold?: number;
  /** What a job does after `maxWait` or `maxAge`: `"fail"` or `"skip"`, as under `onConflict`. @defaultValue `"fail"` */
  onMaxWait?: M;
  /** Makes the result of a job that is skipped because of a conflict. @defaultValue a {@link SkippedResult} */
  skipResult?: (job: J, conflict: LockConflictError) => S | Promise<S>;
  /**
   * Which lines are written to the log of the job: `"conflicts"` when it could not run as usual or lost its lock, `"all"` also
   * when it acquired and released its lock, `"off"` none.
   * @defaultValue `"conflicts"`
   */
  jobLogs?: JobLogs;
}

/**
 * Options of `withLock`: the policies, and the key.
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
   * What to lock: a template such as `"account:{{data.accountId}}"`, several templates, or a function that gives a key, several
   * keys, or `null` for a job that needs no lock. A function must give the same key for the same job: it is also called while the
   * job waits. Of several keys a job gets all or none. A job whose key cannot be made fails for good.
   */
  key:
    | (K & CheckTemplate<K, J["data"]>)
    | readonly (K & CheckTemplate<K, J["data"]>)[]
    | ((job: J) => LockKeys | null);
}

/** The result of a job that did not run. */
export interface SkippedResult {
  skipped: true;
  /** `"conflict"` by policy; `"max-wait"` when it had waited for too long; `"max-age"` when it was too old; `"superseded"` when a later job replaces it. */
  reason: "conflict" | "max-wait" | "max-age" | "superseded";
  /** The key that it did not get. */
  key: string;
  /** The holder of the key; `null` when that is not known. */
  holder: string | null;
}

/** What a job whose processor returns `R` may complete with: anything for one that returns nothing, since no caller uses that. */
export type ResultIn<R> = void extends R ? unknown : R;

/** What a job completes with instead of having run, under these policies and this result of `skipResult`. */
export type SkippedUnder<C extends ConflictPolicy, M extends MaxWaitPolicy, S> =
  | ([Extract<C, SkippingPolicy>] extends [never] ? never : S)
  // A job that waited for unreachable masters has no conflict to call skipResult with.
  | ("skip" extends M ? S | SkippedResult : never);
