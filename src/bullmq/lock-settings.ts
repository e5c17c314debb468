import type { Job } from "bullmq";
import {
  checkChoice,
  checkMs,
  refuseUnknownOptions,
  requireFunction,
  requireObject,
  wrongOption,
} from "../check-options.ts";
import { canSupersede, mayApply } from "./conflict-effects.ts";
import { LONGEST_TIMER } from "../clock.ts";
import type { DataOption } from "../data-option.ts";
import type { LockConfigError, LockConflictError } from "../errors.ts";
import { createLimit, type Limit } from "../keys/limit.ts";
import { createKeyResolver, type KeyResolver } from "../keys/resolver.ts";
import type { Engine } from "../redlock/engine.ts";
import { engineOf } from "../redlock/redlock.ts";
import {
  CONFLICT_POLICIES,
  type ConflictPolicy,
  JOB_LOGS,
  type LockPolicies,
  LOST_POLICIES,
  MAX_WAIT_POLICIES,
  ORDERS,
  RETRY_ORDERS,
  UNAVAILABLE_POLICIES,
} from "./options.ts";

/** An option of `withLock` that is data. */
interface LockOption<T> extends DataOption {
  /**
   * Checks a value, and gives the default for none. Absent for the options that the `Redlock` checks.
   * @throws {LockConfigError} for a value that cannot work.
   */
  readonly check?: (path: string, value: unknown, engine: Engine) => T;
}

type DataOptionName = Exclude<keyof LockPolicies<Job>, "redlock" | "skipResult">;

/** The default of `waitTimeout`, in ms. */
const WAIT_TIMEOUT = 5_000;

/**
 * The options of `withLock` that are data, but for the key: their values, checks and defaults. A rules file takes these in each
 * rule, and at its top for all rules. A new option of `withLock` does not compile until it is here.
 */
export const LOCK_DATA_OPTIONS = {
  onConflict: {
    ...choice(CONFLICT_POLICIES, "What a job does when another holder has its key"),
    check: (path: string, value: unknown = CONFLICT_POLICIES[0]) =>
      typeof value === "function"
        ? (value as ChoosePolicy)
        : checkChoice(path, value, CONFLICT_POLICIES),
  },
  order: choice(
    ORDERS,
    'Which of several jobs gets a free key: the first that asks, or by "strict" the first of its queue',
  ),
  retryOrder: choice(
    RETRY_ORDERS,
    'Whether other jobs run between a failed attempt and its retry, or by "keep" wait for it',
  ),
  onUnavailable: choice(UNAVAILABLE_POLICIES, "What a job does while too few masters answer"),
  onLost: choice(
    LOST_POLICIES,
    "What happens to a job that lost its lock while it ran; delayed without using an attempt three times in a row at most",
  ),
  ttl: { takes: "duration", says: "How long the lock lives when it is not extended." },
  heartbeat: {
    takes: "duration or false",
    says: "Time between two extends of the lock; default a third of the ttl.",
  },
  waitTimeout: {
    takes: "duration",
    says: `How long a job waits in its worker slot under onConflict "wait"; default ${WAIT_TIMEOUT / 1_000}s.`,
    check: (path: string, value: unknown = WAIT_TIMEOUT) => checkWait(path, value),
  },
  limit: {
    takes: "count or template",
    says: "How many jobs may hold a key at the same time; default 1.",
    check: (path: string, value: unknown): Limit<Job> => createLimit(path, value),
  },
  maxWait: bound("How long a job may wait in the delayed set since it was first parked or delayed"),
  maxAge: bound("How old a job may be when it starts, from the time at which it was to run"),
  maxHold: bound("How long a job may hold its lock; then its signal aborts and it fails"),
  minHold: {
    takes: "duration",
    says: "How long, from the grant on, the keys stay taken after a job that succeeded; default 0.",
    check: (path: string, value: unknown = 0, { settings }: Engine) =>
      checkMs(path, value, 0, settings.maxTtl, "the maxTtl of the Redlock"),
  },
  onMaxWait: choice(MAX_WAIT_POLICIES, "What a job does after maxWait or maxAge"),
  jobLogs: choice(JOB_LOGS, "Which lines are written to the log of a job"),
} as const satisfies { readonly [N in DataOptionName]: LockOption<LockPolicies<Job>[N]> };

type ChoosePolicy = (
  job: Job,
  conflict: LockConflictError,
) => ConflictPolicy | Promise<ConflictPolicy>;

type Table = typeof LOCK_DATA_OPTIONS;

/** The data options that are checked here, as their checks give them. */
type CheckedOptions = {
  readonly [N in Exclude<DataOptionName, "ttl" | "heartbeat">]: ReturnType<Table[N]["check"]>;
};

/** Checked options, with their defaults. */
export interface LockSettings extends CheckedOptions {
  readonly engine: Engine;
  readonly keysOf: KeyResolver<Job>;
  /** How long the lock lives without an extend, in ms. */
  readonly ttl: number;
  readonly lock: { readonly ttl?: number; readonly heartbeat?: number | false };
  readonly skipResult: ((job: Job, conflict: LockConflictError) => unknown) | undefined;
}

const KNOWN = ["redlock", "key", ...Object.keys(LOCK_DATA_OPTIONS), "skipResult"];

/** Checks the options of `withLock`. @throws {LockConfigError} for an option that cannot work, or has no effect. */
export function checkLockOptions(options: unknown): LockSettings {
  const settings = readLockOptions(options);
  refuseIdleOptions(options as Partial<LockPolicies<Job>>);
  return settings;
}

/** As {@link checkLockOptions}, but for options without an effect: the defaults of several rules do not all fit each rule. */
export function readLockOptions(options: unknown): LockSettings {
  requireObject("options", options, "an object of options");
  refuseUnknownOptions("", options, KNOWN);
  const given = options as Partial<LockPolicies<Job>> & { key?: string };
  const { skipResult, ttl, heartbeat } = given;
  const engine = engineOf(given.redlock);
  if (given.key === undefined) throw wrongOption("key", given.key, "a key template or a function");
  if (skipResult !== undefined) requireFunction("skipResult", skipResult, "a function");
  const lock = {
    ...(ttl === undefined ? {} : { ttl }),
    ...(heartbeat === undefined ? {} : { heartbeat }),
  };
  engine.checkAcquireOptions(lock);
  const checked = checkDataOptions(given, engine);
  checkPolicies(checked, checked.onConflict);
  if (checked.order === "strict" && checked.limit !== 1) throw strictWithLimit();
  const keysOf = createKeyResolver<Job>(given.key, checked.limit);
  const lifetime = ttl ?? engine.settings.ttl;
  return { ...checked, engine, keysOf, ttl: lifetime, lock, skipResult };
}

/**
 * Refuses options without an effect.
 * @param all these options; for a rule, also the defaults beside them.
 */
export function refuseIdleOptions(
  own: Partial<LockPolicies<Job>>,
  all: Partial<LockPolicies<Job>> = own,
): void {
  const { onConflict = CONFLICT_POLICIES[0], maxWait, maxAge } = all;
  const mayWait = onConflict === "wait" || typeof onConflict === "function";
  const maySkip = mayApply(onConflict, "skips") || all.onMaxWait === "skip";
  const effects = [
    ["waitTimeout", mayWait, 'onConflict: "wait"'],
    ["onMaxWait", maxWait !== undefined || maxAge !== undefined, "maxWait or maxAge"],
    ["skipResult", maySkip, 'a policy that may skip a job, such as onConflict: "skip"'],
  ] as const;
  for (const [name, hasEffect, beside] of effects) {
    if (own[name] === undefined || hasEffect) continue;
    throw wrongOption(name, own[name], `${beside} beside it, without which it has no effect`);
  }
}

/** Checks that the policies fit together; a function may have chosen `onConflict`. */
export function checkPolicies(
  { order, retryOrder }: Pick<LockSettings, "order" | "retryOrder">,
  onConflict: LockSettings["onConflict"],
): void {
  if (order === "strict" && onConflict === "wait") {
    throw wrongOption(
      "order",
      order,
      '"arrival" with onConflict: "wait", whose jobs are not strictly in order',
    );
  }
  // A function is asked at the conflict.
  if (retryOrder === "keep" && typeof onConflict === "string" && canSupersede(onConflict)) {
    throw wrongOption(
      "retryOrder",
      retryOrder,
      `"rejoin" with onConflict: "${onConflict}", by which a later job comes before a retry`,
    );
  }
}

/** The error of a job, or of options, with a limit under strict order. */
export function strictWithLimit(): LockConfigError {
  return wrongOption("order", "strict", '"arrival" with a limit, under which several jobs run');
}

function checkDataOptions(given: Partial<LockPolicies<Job>>, engine: Engine): CheckedOptions {
  const values: Readonly<Record<string, unknown>> = { ...given };
  const checked: Record<string, unknown> = {};
  for (const [name, { check }] of Object.entries<LockOption<unknown>>(LOCK_DATA_OPTIONS)) {
    if (check !== undefined) checked[name] = check(name, values[name], engine);
  }
  return checked as CheckedOptions;
}

/** Checks a policy that a function chose. */
export function checkConflictPolicy(path: string, policy: unknown): ConflictPolicy {
  return checkChoice(path, policy, CONFLICT_POLICIES);
}

/** One of several values; the first is the default. */
function choice<const C extends readonly [string, ...string[]]>(takes: C, says: string) {
  return {
    takes,
    says: `${says}; default "${takes[0]}".`,
    check: (path: string, value: unknown = takes[0]): C[number] => checkChoice(path, value, takes),
  };
}

/** A time that does not end by default. */
function bound(says: string) {
  return {
    takes: "duration" as const,
    says: `${says}; default none.`,
    check: (path: string, value: unknown) =>
      value === undefined ? undefined : checkWait(path, value),
  };
}

function checkWait(path: string, value: unknown): number {
  return checkMs(path, value, 1, LONGEST_TIMER, "the longest that a timer can wait (24 days)");
}
