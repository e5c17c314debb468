import type { Job } from "bullmq";
import { checkChoice, checkNumber, refuseUnknownOptions, requireObject } from "../check-options.ts";
import { LockConfigError, type LockConflictError } from "../errors.ts";
import { createKeyResolver, type KeyResolver } from "../keys/resolver.ts";
import type { Engine } from "../redlock/engine.ts";
import { engineOf, type Redlock } from "../redlock/redlock.ts";
import type { JobLogs } from "./job-log.ts";
import { describeValue } from "../sentences.ts";

/** All conflict policies, the default first. */
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
export const JOB_LOGS = ["conflicts", "off", "all"] as const;

/** What a job does whose key somebody else holds. */
export type ConflictPolicy = (typeof CONFLICT_POLICIES)[number];
/** The policies that may complete a job without having run it. */
export type SkippingPolicy = Extract<ConflictPolicy, "skip" | "keepLatest" | "cancelInProgress">;
/** What a job does while too few lock masters answer. */
export type UnavailablePolicy = (typeof UNAVAILABLE_POLICIES)[number];
/** What a job does that lost its lock while it ran. */
export type LostPolicy = (typeof LOST_POLICIES)[number];
/** What a job does that has waited for as long as it may. */
export type MaxWaitPolicy = (typeof MAX_WAIT_POLICIES)[number];
/** Which job has a free key first. */
type LockOrder = (typeof ORDERS)[number];

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
  /** Where to lock. It may serve any number of processors, and must be closed after their workers. */
  redlock: Redlock;
  /**
   * What a job does whose key somebody else holds:
   *
   * - `"delay"` parks it: it goes into the delayed set and into the line of its keys, and is woken when it is its turn. The
   *   slot is free for others, no attempt is used, the priority is kept. In a queue on PostgreSQL it tries again with
   *   growing pauses instead.
   * - `"wait"` waits in its slot, in the same line, for up to `waitTimeout`, then as `"delay"`; at once when the worker
   *   closes. A job that is cancelled while it waits fails.
   * - `"skip"` completes it with a {@link SkippedResult}, or what `skipResult` gives. A retry of a job that failed is delayed:
   *   nobody has done its work. A function that chooses `"skip"` means retries too.
   * - `"fail"` throws the `LockConflictError`.
   * - `"keepLatest"` parks it, and completes older ones under this policy with a {@link SkippedResult}: the newest wins. A job
   *   is superseded by a newer one that waits, holds the key, or has succeeded within the last hour; so is a retry. Newer is
   *   what was to run later.
   * - `"cancelInProgress"` does the same, and asks a holder that is older and has this policy too, in whatever process,
   *   to stop: its signal aborts, and if its processor throws then, the job fails for good with `cancelled by ...`. A
   *   processor that returns all the same has done its work: its result stands.
   *
   * A function chooses for each job; `conflict.waiting` tells how many others wait. Where the holder is another run of the very same job, left over after a kill or
   * a stall, the job is delayed whatever is said here.
   * @defaultValue `"delay"`
   */
  onConflict?: C | ((job: J, conflict: LockConflictError) => C | Promise<C>);
  /**
   * Which of several jobs has a key that is free. Jobs that wait for a taken one are in order in any case.
   *
   * - `"arrival"`: the one whose request reaches a majority of the masters first, in whatever order they were added.
   * - `"strict"`: the one that is before the others in its queue, also when a worker has taken it up and is slow to ask for its key;
   *   that is waited for, up to two seconds. Not with `onConflict: "wait"`. It costs each job one more request to its queue. For jobs of one queue; ignored, with
   *   a warning, on a queue in PostgreSQL.
   * @defaultValue `"arrival"`
   */
  order?: LockOrder;
  /**
   * What a job does while too few lock masters answer: `"delay"` as above, `"fail"` throws the
   * `LockUnavailableError`, `"run"` runs it without a lock, and says so in its log.
   * @defaultValue `"delay"`
   */
  onUnavailable?: UnavailablePolicy;
  /**
   * What becomes of a job that lost its lock, once its processor has settled. Its signal aborts in any case.
   *
   * - `"delay"` puts it back without using an attempt, as BullMQ does with a stalled job, at most `maxLost` times in a
   *   row; then as `"fail"`.
   * - `"fail"` throws the `LockLostError`, with the processor's own error as its `cause`; an attempt is used.
   * - `"continue"` lets the result, or the processor's own error, stand.
   *
   * Errors that steer BullMQ, such as `DelayedError`, always pass.
   * @defaultValue `"delay"`
   */
  onLost?: LostPolicy;
  /** See `onLost`. The count is kept in the job's `stacktrace`. @defaultValue 3 */
  maxLost?: number;
  /** How long a lock lives when nobody extends it. @defaultValue the `Redlock`'s */
  ttl?: number;
  /** Between two extends of the lock; `false` for none. @defaultValue the `Redlock`'s, or a third of `ttl` */
  heartbeat?: number | false;
  /** How long a job waits in its slot under `"wait"`. @defaultValue 5000 */
  waitTimeout?: number;
  /**
   * How long a job may be put aside, for conflicts and for masters out of reach alike, since it first was. It is
   * counted anew when the job had its key, or failed, in between. Compared with the wall clocks of the workers, and
   * looked at when a job would be put aside again. Kept in the hash of the job in the queue's Redis; ignored, with a
   * warning, on a queue in PostgreSQL.
   * @defaultValue none
   */
  maxWait?: number;
  /**
   * How long a job may hold its lock. Then the heartbeat ends and the signal aborts; once the processor has settled, the job
   * fails with a `LockLostError`, unless `onLost` is `"continue"`. The lock itself ends with its ttl at the latest.
   * @defaultValue none
   */
  maxHold?: number;
  /**
   * For how long, from the grant on, the keys stay taken after a job that succeeded: what runs on a schedule in several
   * places then runs once. At most the `maxTtl` of the `Redlock`. A failure gives the keys back at once.
   * @defaultValue 0
   */
  minHold?: number;
  /** What a job does after `maxWait`: `"fail"` or `"skip"`, as under `onConflict`. @defaultValue `"fail"` */
  onMaxWait?: M;
  /** Gives the result of a job that is skipped because of a conflict. @defaultValue a {@link SkippedResult} */
  skipResult?: (job: J, conflict: LockConflictError) => S | Promise<S>;
  /**
   * Lines in the log of the job: `"conflicts"` when it could not run as usual or lost its lock, `"all"` also when it got
   * and released its lock, or `"off"`.
   * @defaultValue `"conflicts"`
   */
  jobLogs?: JobLogs;
  /**
   * Whether conflicts that fail a job fail it for good: they then reach BullMQ as an `UnrecoverableError` with our `code`
   * and `cause`.
   * @defaultValue false
   */
  unrecoverable?: boolean;
}

/** The result of a job that did not run. */
export interface SkippedResult {
  skipped: true;
  /** `"conflict"` by policy; `"max-wait"` when it had waited for too long; `"superseded"` when a later job stands for it. */
  reason: "conflict" | "max-wait" | "superseded";
  /** The key it did not get. */
  key: string;
  /** Who held the key; `null` when that is not known. */
  holder: string | null;
}

/** Checked options, with their defaults. */
export interface LockSettings {
  readonly engine: Engine;
  readonly keysOf: KeyResolver<Job>;
  readonly onConflict:
    | ConflictPolicy
    | ((job: Job, conflict: LockConflictError) => ConflictPolicy | Promise<ConflictPolicy>);
  readonly order: LockOrder;
  readonly onUnavailable: UnavailablePolicy;
  readonly onLost: LostPolicy;
  readonly maxLost: number;
  readonly lock: { readonly ttl?: number; readonly heartbeat?: number | false };
  readonly waitTimeout: number;
  readonly maxWait: number | undefined;
  readonly onMaxWait: MaxWaitPolicy;
  readonly skipResult: ((job: Job, conflict: LockConflictError) => unknown) | undefined;
  readonly jobLogs: JobLogs;
  readonly unrecoverable: boolean;
  readonly maxHold: number | undefined;
  readonly minHold: number;
}

const KNOWN = [
  "redlock",
  "key",
  "onConflict",
  "order",
  "onUnavailable",
  "onLost",
  "maxLost",
  "ttl",
  "heartbeat",
  "waitTimeout",
  "maxWait",
  "onMaxWait",
  "skipResult",
  "jobLogs",
  "unrecoverable",
  "maxHold",
  "minHold",
];

/** The longest time a timer of Node can hold, in ms. */
const LONGEST = 2 ** 31 - 1;

/** Checks the options of `withLock`; throws `LockConfigError` for what cannot work. */
export function checkLockOptions(options: unknown): LockSettings {
  requireObject("options", options, "an object of options");
  refuseUnknownOptions("", options, KNOWN);
  const given = options as Partial<LockPolicies<Job>> & { key?: string };
  const engine = engineOf(given.redlock);
  if (given.key === undefined) throw wrong("key", given.key, "a key template or a function");
  const lock = {
    ...(given.ttl === undefined ? {} : { ttl: given.ttl }),
    ...(given.heartbeat === undefined ? {} : { heartbeat: given.heartbeat }),
  };
  engine.checkAcquireOptions(lock);
  const { onConflict = "delay" } = given;
  if (given.order === "strict" && onConflict === "wait") {
    throw wrong(
      "order",
      given.order,
      '"arrival" with onConflict: "wait", whose jobs are not strictly in order',
    );
  }
  return {
    engine,
    keysOf: createKeyResolver<Job>(given.key),
    onConflict:
      typeof onConflict === "function" ? onConflict : checkConflictPolicy("onConflict", onConflict),
    order: checkChoice("order", given.order ?? "arrival", ORDERS),
    onUnavailable: checkChoice(
      "onUnavailable",
      given.onUnavailable ?? "delay",
      UNAVAILABLE_POLICIES,
    ),
    onLost: checkChoice("onLost", given.onLost ?? "delay", LOST_POLICIES),
    maxLost: checkNumber("maxLost", given.maxLost ?? 3, {
      min: 0,
      max: 1_000,
      unit: "a whole number",
    }),
    lock,
    waitTimeout: checkMs("waitTimeout", given.waitTimeout ?? 5_000, 1),
    maxWait: given.maxWait === undefined ? undefined : checkMs("maxWait", given.maxWait, 1),
    onMaxWait: checkChoice("onMaxWait", given.onMaxWait ?? "fail", MAX_WAIT_POLICIES),
    skipResult: checkFunction("skipResult", given.skipResult),
    jobLogs: checkChoice("jobLogs", given.jobLogs ?? "conflicts", JOB_LOGS),
    unrecoverable: checkBoolean("unrecoverable", given.unrecoverable ?? false),
    maxHold: given.maxHold === undefined ? undefined : checkMs("maxHold", given.maxHold, 1),
    minHold: checkNumber("minHold", given.minHold ?? 0, {
      min: 0,
      max: engine.settings.maxTtl,
      unit: "whole milliseconds",
      limit: "the maxTtl of the Redlock",
    }),
  };
}

/** Whether jobs may stand for earlier ones. A function may choose such a policy. */
export function isReplacing({ onConflict }: LockSettings): boolean {
  return typeof onConflict === "function" || isReplacingPolicy(onConflict);
}

/** Whether a job under this policy stands for earlier ones. */
export function isReplacingPolicy(policy: ConflictPolicy): boolean {
  return policy === "keepLatest" || policy === "cancelInProgress";
}

/** Checks a policy, also one that a function chose. */
export function checkConflictPolicy(path: string, policy: unknown): ConflictPolicy {
  return checkChoice(path, policy, CONFLICT_POLICIES);
}

function checkMs(path: string, value: unknown, min: number): number {
  return checkNumber(path, value, {
    min,
    max: LONGEST,
    unit: "whole milliseconds",
    limit: "24 days: no timer holds longer",
  });
}

function checkFunction<F>(path: string, value: F): F {
  if (value === undefined || typeof value === "function") return value;
  throw wrong(path, value, "a function");
}

function checkBoolean(path: string, value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw wrong(path, value, "true or false");
}

function wrong(path: string, value: unknown, expected: string): LockConfigError {
  return new LockConfigError({ path, found: describeValue(value), expected });
}
