import { refuseValue, requireFunction, wrongOption } from "../check-options.ts";
import { describeValue } from "../sentences.ts";
import type { Job } from "bullmq";
import { LockConfigError } from "../errors.ts";
import type { Lock } from "../lock/lock.ts";
import { readLockOptions, type LockSettings } from "../bullmq/lock-settings.ts";
import type { SkippedResult } from "../bullmq/options.ts";
import { type LockingProcessor, lockProcessor } from "../bullmq/with-lock.ts";
import { checkRedlockOptions, REDLOCK_OPTIONS, type RedlockOptions } from "../redlock/options.ts";
import { Redlock } from "../redlock/redlock.ts";
import type { RulesChange } from "../events.ts";
import { explain, type ExplainedJob, type Explanation, keyOf, noRule } from "./explain.ts";
import { findRule, type Rule } from "./rule.ts";

/** Locks for jobs, by rules. */
export interface Locks extends AsyncDisposable {
  /** The `Redlock` of all rules, with its events, `inspect` and `ready`. */
  readonly redlock: Redlock;
  /**
   * Wraps a processor as `withLock` does, with the options of the first rule that matches the job. A job that no rule matches
   * fails for good, so that it does not run without a lock by accident. A rule may skip jobs: then the result is a
   * {@link SkippedResult}.
   */
  wrap<J extends Job = Job, R = J["returnvalue"]>(
    this: void,
    processor: (job: J, jobToken: string, signal: AbortSignal, lock: Lock) => Promise<R>,
  ): LockingProcessor<J, R | SkippedResult>;
  /** Explains which rule matches a job, and which keys and options the job gets. Sends nothing to the masters. */
  explain(this: void, job: ExplainedJob): Explanation;
  /** Closes the `Redlock`; close the workers first. Idempotent. */
  close(this: void): Promise<void>;
}

interface ChangeableLocks extends Locks {
  /**
   * Applies other rules to jobs that start afterwards.
   * @throws {LockConfigError} for options that do not fit the `Redlock`, or that differ from its own.
   */
  change(options: RedlockOptions, rules: readonly Rule[]): RulesChange;
}

/** Creates locks by rules without problems. @throws {LockConfigError} for a rule that does not fit the options. */
export function createLocks(options: RedlockOptions, given: readonly Rule[]): ChangeableLocks {
  const settings = checkRedlockOptions(options);
  const redlock = new Redlock(options);
  let rules = given;
  checkRules(rules, redlock);
  const close = async (): Promise<void> => await redlock.close();
  return {
    redlock,
    wrap: (processor) => wrap(processor, () => rules, redlock),
    explain: (job) => explain(job, rules, redlock, settings),
    change: (others, next) => {
      requireSameMasters(options, others);
      checkRules(next, redlock);
      const change = changeOf(rules, next);
      rules = next;
      redlock.emit("reloaded", change);
      return change;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The options of the `Redlock` may be other ones than those that the rules were read with. */
function checkRules(rules: readonly Rule[], redlock: Redlock): void {
  for (const { index, options } of rules) {
    try {
      readLockOptions({ redlock, key: () => null, ...options });
    } catch (error) {
      if (!(error instanceof LockConfigError)) throw error;
      const { path, found, expected } = error;
      refuseValue(`rules[${index}].${path}`, found, expected);
    }
  }
}

function wrap<J extends Job, R>(
  processor: (job: J, jobToken: string, signal: AbortSignal, lock: Lock) => Promise<R>,
  rulesNow: () => readonly Rule[],
  redlock: Redlock,
): LockingProcessor<J, R | SkippedResult> {
  requireFunction("processor", processor, "a function that processes a job");
  // Created for the first job of each rule: there may be thousands of rules.
  const byRule = new WeakMap<Rule, LockSettings>();
  const settingsOf = (rule: Rule): LockSettings => {
    const known = byRule.get(rule);
    if (known !== undefined) return known;
    const made = readLockOptions({ redlock, key: keyOf(rule), ...rule.options });
    byRule.set(rule, made);
    return made;
  };
  const refusing = readLockOptions({
    redlock,
    key: (job: Job) => {
      throw noRule(job);
    },
  });
  return lockProcessor((job) => {
    const rule = findRule(rulesNow(), job);
    return rule === undefined ? refusing : settingsOf(rule);
  }, processor);
}

const DATA_OPTIONS = Object.keys(REDLOCK_OPTIONS) as (keyof typeof REDLOCK_OPTIONS)[];

/** Refuses options that differ from those of the `Redlock`. The message does not show the masters: they may have passwords. */
function requireSameMasters(made: RedlockOptions, given: RedlockOptions): void {
  const [before, now] = [checkRedlockOptions(made), checkRedlockOptions(given)];
  const restart = "at the start: restart the process to change it";
  for (const name of DATA_OPTIONS) {
    if (now[name] === before[name]) continue;
    throw wrongOption(name, now[name], `${describeValue(before[name])}, the value ${restart}`);
  }
  for (const name of ["nodes", "telemetry"] as const) {
    // Values in code, such as a client or telemetry, are the same object.
    if (made[name] === given[name]) continue;
    if (JSON.stringify(made[name]) === JSON.stringify(given[name])) continue;
    refuseValue(name, "another value", `the value ${restart}`);
  }
}

/** No two rules are the same: jobs would not reach the second one. */
function changeOf(before: readonly Rule[], after: readonly Rule[]): RulesChange {
  const [old, fresh] = [before.map(textOf), after.map(textOf)];
  const [added, removed] = [newIn(fresh, old), newIn(old, fresh)];
  const kept = fresh.filter((_, index) => !added.includes(index));
  const reordered = old
    .filter((_, index) => !removed.includes(index))
    .some((text, index) => text !== kept[index]);
  return { rules: after.length, added, removed, reordered };
}

function newIn(texts: readonly string[], others: readonly string[]): number[] {
  const known = new Set(others);
  return texts.flatMap((text, index) => (known.has(text) ? [] : [index]));
}

function textOf({ written, key, options }: Rule): string {
  return JSON.stringify([written, key, options]);
}
