import { readLockOptions, LOCK_DATA_OPTIONS, type LockSettings } from "../bullmq/lock-settings.ts";
import { requireObject, requireText } from "../check-options.ts";
import { LockKeyError } from "../errors.ts";
import { describeJob, type KeyJob } from "../keys/job.ts";
import type { Redlock } from "../redlock/redlock.ts";
import type { RedlockSettings } from "../redlock/options.ts";
import { readAcquireRequest } from "../redlock/acquire-request.ts";
import { findRule, type Rule } from "./rule.ts";

/** The parts of a job that rules need. A BullMQ `Job` has them, and its JSON too. */
export interface ExplainedJob {
  readonly queueName: string;
  readonly name: string;
  readonly data?: unknown;
  readonly id?: string | undefined;
  readonly opts?: unknown;
}

/** The effect of the rules on a job. */
export interface Explanation {
  /**
   * - `"lock"`: the job runs under the lock on `keys`;
   * - `"no-lock"`: its rule has the key null, and it runs without a lock;
   * - `"refused"`: its data gives no key, and it fails for good;
   * - `"no-rule"`: no rule matches, and it fails for good.
   */
  readonly outcome: "lock" | "no-lock" | "refused" | "no-rule";
  /** The index of the rule in the list, from 0; `undefined` when none matches. */
  readonly rule: number | undefined;
  /** The keys that the job locks, all or none. */
  readonly keys: readonly string[];
  /** The reason for `"refused"` and `"no-rule"`. */
  readonly error: LockKeyError | undefined;
  /** The options of the lock, with all defaults; durations are milliseconds. Empty without a lock. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** Returns the key of a rule in the form of `withLock`. */
export function keyOf({ key }: Pick<Rule, "key">): string | readonly string[] | (() => null) {
  return key ?? (() => null);
}

/** Explains the effect of the rules on a job. @throws {LockConfigError} for a value that is no job. */
export function explain(
  explained: ExplainedJob,
  rules: readonly Rule[],
  redlock: Redlock,
  settings: RedlockSettings,
): Explanation {
  requireObject("job", explained, "a job, with its queueName, name and data");
  const { queueName, name, data, id, opts = {} } = explained;
  requireText("job.queueName", queueName, "the name of a queue");
  requireText("job.name", name, "the name of a job");
  const job: KeyJob = { queueName, name, data, id, opts };
  const rule = findRule(rules, job);
  const nothing = { rule: rule?.index, keys: [], error: undefined, options: {} };
  if (rule === undefined) return { ...nothing, outcome: "no-rule", error: noRule(job) };
  if (rule.key === null) return { ...nothing, outcome: "no-lock" };
  const checked = readLockOptions({ redlock, key: keyOf(rule), ...rule.options });
  // The limit may be a template, which the rule shows as it was written.
  const options = { ...optionsOf(checked, settings), limit: rule.options.limit ?? 1 };
  try {
    // A template gives at least one key, or throws.
    const found = checked.keysOf(job as Parameters<typeof checked.keysOf>[0]);
    const limit = found?.limits?.[0] ?? 1;
    return { ...nothing, outcome: "lock", keys: found?.keys ?? [], options: { ...options, limit } };
  } catch (error) {
    if (!(error instanceof LockKeyError)) throw error;
    return { ...nothing, outcome: "refused", error, options };
  }
}

/** Creates the error of a job that no rule matches. */
export function noRule(job: KeyJob): LockKeyError {
  const [queue, name] = [job.queueName, job.name].map((each) => JSON.stringify(each));
  return new LockKeyError({
    message: `no rule matches the queue ${queue} and the job name ${name}; a rule with "key: null" lets such jobs run without a lock`,
    job: describeJob(job),
  });
}

function optionsOf(checked: LockSettings, settings: RedlockSettings): Record<string, unknown> {
  const { ttl, heartbeat } = readAcquireRequest(settings, "any", checked.lock);
  const all: Record<string, unknown> = { ...checked, ttl, heartbeat };
  return Object.fromEntries(
    Object.keys(LOCK_DATA_OPTIONS)
      .filter((name) => all[name] !== undefined)
      .map((name) => [name, all[name]]),
  );
}
