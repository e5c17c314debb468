import type { Job } from "bullmq";
import type { Lock } from "../bullmq/lock.ts";
import { checkLockOptions, type SkippedResult } from "../bullmq/options.ts";
import { type LockingProcessor, withLock } from "../bullmq/with-lock.ts";
import { LockConfigError } from "../errors.ts";
import { checkRedlockOptions, type RedlockOptions } from "../redlock/options.ts";
import { Redlock } from "../redlock/redlock.ts";
import { explain, type ExplainedJob, type Explanation, keyOf, noRule } from "./explain.ts";
import { findRule, type Rule } from "./rule.ts";
import { changeOf, requireSameMasters, type RulesChange } from "./rules-change.ts";
import { describeValue } from "../sentences.ts";

/** Locks for jobs, by rules. */
export interface Locks extends AsyncDisposable {
  /** The `Redlock` of all rules: its events, `inspect`, `ready` and so on. */
  readonly redlock: Redlock;
  /**
   * Wraps a processor as `withLock` does; the rule is picked for each job, by the name of its queue and its own. A job
   * that no rule matches fails for good, and never runs without a lock by accident. Any rule may skip jobs, so that a
   * {@link SkippedResult} is among the results.
   */
  wrap<J extends Job = Job, R = J["returnvalue"]>(
    this: void,
    processor: (job: J, jobToken: string, signal: AbortSignal, lock: Lock) => Promise<R>,
  ): LockingProcessor<J, R | SkippedResult>;
  /** Says which rule matches a job, which keys it would lock, and with which options. Asks no master. */
  explain(this: void, job: ExplainedJob): Explanation;
  /** Closes the `Redlock`; close the workers first. Idempotent. */
  close(this: void): Promise<void>;
}

/** Locks whose rules can be changed. */
export interface ChangeableLocks extends Locks {
  /**
   * Takes other rules for jobs that are taken up from now on.
   * @throws {LockConfigError} for options that do not fit each other, or that the `Redlock` was not made with.
   */
  change(options: RedlockOptions, rules: readonly Rule[]): RulesChange;
}

/** Makes locks of rules that were found right. @throws {LockConfigError} for options that do not fit each other. */
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

function checkRules(rules: readonly Rule[], redlock: Redlock): void {
  for (const given of new Set(rules.map((rule) => rule.options)))
    checkLockOptions({ redlock, key: () => null, ...given });
}

function wrap<J extends Job, R>(
  processor: (job: J, jobToken: string, signal: AbortSignal, lock: Lock) => Promise<R>,
  rulesNow: () => readonly Rule[],
  redlock: Redlock,
): LockingProcessor<J, R | SkippedResult> {
  if (typeof processor !== "function") {
    throw new LockConfigError({
      path: "processor",
      found: describeValue(processor),
      expected: "a function that processes a job",
    });
  }
  // Made when a job first needs it: there may be thousands of rules.
  const byRule = new WeakMap<Rule, LockingProcessor<J, R | SkippedResult>>();
  const processorOf = (rule: Rule): LockingProcessor<J, R | SkippedResult> => {
    // The paths of the template are checked against each job; the type of its data is not known to the rules.
    const known = byRule.get(rule);
    if (known !== undefined) return known;
    const made = withLock({ redlock, key: keyOf(rule), ...rule.options }, processor);
    byRule.set(rule, made);
    return made;
  };
  const refuse = withLock(
    {
      redlock,
      key: (job: J) => {
        throw noRule(job);
      },
    },
    processor,
  );
  // BullMQ gives the signal only to a function that declares three plain parameters.
  return async function ruledProcessor(job, jobToken, signal) {
    const rule = findRule(rulesNow(), job);
    const process = rule === undefined ? refuse : processorOf(rule);
    return await process(job, jobToken, signal);
  };
}
