import type { Job } from "bullmq";
import type { LOCK_DATA_OPTIONS } from "../bullmq/lock-settings.ts";
import type { LockPolicies } from "../bullmq/options.ts";
import { refuseUnknownOptions, requireObject, wrongOption } from "../check-options.ts";
import type { DataOption } from "../data-option.ts";
import type { NodeOption } from "../redis/node-options.ts";
import type { REDLOCK_OPTIONS, RedlockOptions } from "../redlock/options.ts";
import { Redlock } from "../redlock/redlock.ts";
import { check, isAboutNodes } from "./check.ts";
import type { DurationText } from "./duration.ts";
import { createLocks, type Locks } from "./locks.ts";
import { LockRulesError, NOWHERE, type RulesProblem } from "./problem.ts";
import type { RuleMatch } from "./rule.ts";
import { showPath } from "./shown.ts";

/** Options in the form of rules: durations may have a unit, functions are left out. */
type Written<Options, Known extends Readonly<Record<string, DataOption>>> = {
  [Name in keyof Options & keyof Known]?:
    | Exclude<Options[Name], (...parameters: never[]) => unknown>
    | (Known[Name]["takes"] extends "duration" | "duration or false" ? DurationText : never);
};

/** A rule: the jobs that it matches, their lock keys, and options of the lock. */
export interface LockRule extends RuleMatch, Written<LockPolicies<Job>, typeof LOCK_DATA_OPTIONS> {
  /** A key template, or several, of which a job locks all or none; `null` for jobs that need no lock. */
  key: string | readonly string[] | null;
}

/** The contents of a rules file. */
export interface LockRules
  extends
    Omit<Written<LockPolicies<Job>, typeof LOCK_DATA_OPTIONS>, keyof typeof REDLOCK_OPTIONS>,
    Written<RedlockOptions, typeof REDLOCK_OPTIONS> {
  /** The lock masters; `${NAME}` in a text stands for an environment variable. */
  nodes: readonly NodeOption[];
  /** The first rule that matches a job counts. */
  rules: readonly LockRule[];
}

/** Options beside the rules. */
export interface LocksOptions {
  /**
   * Options of the `Redlock` that replace those of the rules, such as telemetry, or the masters of a test. With `nodes` here,
   * problems of `nodes` in the rules do not count.
   * @defaultValue none
   */
  redlock?: RedlockOptions;
  /** Where `${NAME}` in `nodes` and `prefix` is looked up. @defaultValue `process.env` */
  environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * Creates locks by rules in code, as `loadLocks` does by a file. Does not connect before the first lock.
 * @throws {LockRulesError} with all problems; LockConfigError for a wrong option in `options`.
 */
export function defineLocks(rules: LockRules, options: LocksOptions = {}): Locks {
  checkLocksOptions(options);
  const checked = check(rules, options.environment ?? process.env);
  const problems = checked.problems.map(({ path, found, expected }) => ({
    ...NOWHERE,
    path: showPath(path),
    found,
    expected,
  }));
  return createLocks(redlockOptionsOf(checked.masters, problems, options), checked.rules);
}

/** Checks the options beside the rules; the `Redlock` checks its own. */
export function checkLocksOptions(options: unknown): void {
  requireObject("options", options, "an object of options");
  refuseUnknownOptions("", options, ["redlock", "environment"]);
  const { redlock, environment } = options as Partial<Record<keyof LocksOptions, unknown>>;
  const expected = "an object of options of a Redlock: the locks make their own";
  if (redlock instanceof Redlock) throw wrongOption("redlock", redlock, expected);
  if (redlock !== undefined) requireObject("redlock", redlock, expected);
  if (environment !== undefined)
    requireObject("environment", environment, "an object of texts, such as process.env");
}

/**
 * Returns the options of the `Redlock` of checked rules, with those of `options`.
 * @throws {LockRulesError} when there are problems.
 */
export function redlockOptionsOf(
  masters: RedlockOptions,
  problems: readonly RulesProblem[],
  { redlock }: LocksOptions,
): RedlockOptions {
  const counting =
    redlock?.nodes === undefined ? problems : problems.filter((each) => !isAboutNodes(each));
  if (counting.length > 0) throw new LockRulesError(counting);
  // An option without a value does not replace one.
  const given = Object.entries(redlock ?? {}).filter(([, value]) => value !== undefined);
  return { ...masters, ...Object.fromEntries(given) };
}
