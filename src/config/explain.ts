import { checkLockOptions, LOCK_DATA_OPTIONS, type LockSettings } from "../bullmq/lock-settings.ts";
import { requireObject, requireText } from "../check-options.ts";
import { LockKeyError } from "../errors.ts";
import type { KeyJob } from "../keys/job.ts";
import type { Redlock } from "../redlock/redlock.ts";
import type { RedlockSettings } from "../redlock/options.ts";
import { readAcquireRequest } from "../redlock/acquire-request.ts";
import { findRule, type Rule } from "./rule.ts";

/** What the rules say about a job. A BullMQ `Job` is one, and so is its JSON. */
export interface ExplainedJob {
  readonly queueName: string;
  readonly name: string;
  readonly data?: unknown;
  readonly id?: string | undefined;
  readonly opts?: unknown;
}

/** What becomes of a job under the rules. */
export interface Explanation {
  /**
   * - `"lock"`: it runs under the lock on `keys`;
   * - `"no-lock"`: its rule has the key null: it runs without one;
   * - `"refused"`: no key can be made from it: it fails for good;
   * - `"no-rule"`: no rule matches: it fails for good.
   */
  readonly outcome: "lock" | "no-lock" | "refused" | "no-rule";
  /** The place of the rule in the list, from 0; `undefined` when none matches. */
  readonly rule: number | undefined;
  /** The keys the job would lock, all or none. */
  readonly keys: readonly string[];
  /** Why no key can be made; only for `"refused"` and `"no-rule"`. */
  readonly error: LockKeyError | undefined;
  /** The options that count, defaults among them; durations are milliseconds. Empty without a lock. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** The key of a rule, as `withLock` takes it. */
export function keyOf({ key }: Pick<Rule, "key">): string | readonly string[] | (() => null) {
  return key ?? (() => null);
}

/** Says what becomes of a job. Asks no master. @throws {LockConfigError} for what is no job. */
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
  const checked = checkLockOptions({ redlock, key: keyOf(rule), ...rule.options });
  const options = optionsOf(checked, settings);
  try {
    // A template makes at least one key, or throws.
    const keys = checked.keysOf(job as Parameters<typeof checked.keysOf>[0]) ?? [];
    return { ...nothing, outcome: "lock", keys, options };
  } catch (error) {
    if (!(error instanceof LockKeyError)) throw error;
    return { ...nothing, outcome: "refused", error, options };
  }
}

/** The error of a job that no rule matches. */
export function noRule({
  queueName,
  name,
  id,
}: Pick<KeyJob, "queueName" | "name" | "id">): LockKeyError {
  return new LockKeyError({
    message: `no rule matches the queue ${JSON.stringify(queueName)} and the job name ${JSON.stringify(name)}; a rule with "key: null" lets such jobs run without a lock`,
    job: `${queueName}:${id ?? "no id"}`,
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
