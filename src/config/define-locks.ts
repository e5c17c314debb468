import type { Job } from "bullmq";
import type { LOCK_DATA_OPTIONS } from "../bullmq/data-options.ts";
import type { LockPolicies } from "../bullmq/options.ts";
import { refuseUnknownOptions, requireObject, requireText } from "../check-options.ts";
import type { DataOption } from "../data-option.ts";
import { LockConfigError } from "../errors.ts";
import type { NodeOption } from "../redis/endpoint.ts";
import type { REDLOCK_OPTIONS } from "../redlock/data-options.ts";
import type { RedlockOptions } from "../redlock/options.ts";
import { Redlock } from "../redlock/redlock.ts";
import { check, type Checked } from "./check.ts";
import type { DurationText } from "./duration.ts";
import { type ChangeableLocks, createLocks, type Locks } from "./locks.ts";
import type { RuleMatch } from "./rule.ts";
import { LockRulesError, NOWHERE, type RulesProblem } from "./rules-error.ts";
import { showPath } from "./shown.ts";

/** Options as rules have them: durations may have a unit, functions are left out. */
type Written<Options, Known extends Readonly<Record<string, DataOption>>> = {
  [Name in keyof Options & keyof Known]?:
    | Exclude<Options[Name], (...parameters: never[]) => unknown>
    | (Known[Name]["takes"] extends "duration" | "duration or false" ? DurationText : never);
};

/** Says what to lock for the jobs that it matches, and how. */
export interface LockRule extends RuleMatch, Written<LockPolicies<Job>, typeof LOCK_DATA_OPTIONS> {
  /** A key template, several, of which a job gets all or none, or `null` for jobs that need no lock. */
  key: string | readonly string[] | null;
}

/** What a rules file has. */
export interface LockRules
  extends
    Omit<Written<LockPolicies<Job>, typeof LOCK_DATA_OPTIONS>, keyof typeof REDLOCK_OPTIONS>,
    Written<RedlockOptions, typeof REDLOCK_OPTIONS> {
  /** The lock masters; `${NAME}` in a text stands for an environment variable. */
  nodes: readonly NodeOption[];
  /** The first rule that matches a job counts. */
  rules: readonly LockRule[];
}

/** What goes beside the rules. */
export interface LocksOptions {
  /**
   * Options of the `Redlock` that go before those of the rules: telemetry, which no file can have, or the masters of a
   * test. What is wrong with `nodes` in the rules does not count then.
   * @defaultValue none
   */
  redlock?: RedlockOptions;
  /** Where `${NAME}` in `nodes` and `prefix` is looked up. @defaultValue `process.env` */
  environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * Makes locks of rules in code: the same as `loadLocks` does of a file. Connects to nothing before the first lock.
 * @throws {LockRulesError} that tells all mistakes; {@link LockConfigError} for a bad option of `options`.
 */
export function defineLocks(rules: LockRules, options: LocksOptions = {}): Locks {
  checkLocksOptions(options);
  const checked = check(rules, options.environment ?? process.env);
  const faults = checked.problems.map(({ path, found, expected }) => ({
    ...NOWHERE,
    path: showPath(path),
    found,
    expected,
  }));
  return locksOf(checked, faults, options);
}

/** Checks what goes beside the rules, but for the options of the `Redlock`, which checks them itself. */
export function checkLocksOptions(options: unknown): void {
  requireObject("options", options, "an object of options");
  refuseUnknownOptions("", options, ["redlock", "environment"]);
  const { redlock, environment }: Record<keyof LocksOptions, unknown> = {
    redlock: undefined,
    environment: undefined,
    ...options,
  };
  if (redlock instanceof Redlock) {
    throw new LockConfigError({
      path: "redlock",
      found: "a Redlock",
      expected: "an object of its options: the locks make their own",
    });
  }
  if (redlock !== undefined) requireObject("redlock", redlock, "an object of options of a Redlock");
  if (environment === undefined) return;
  requireObject("environment", environment, "an object of texts, such as process.env");
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined) requireText(`environment.${name}`, value, "a text");
  }
}

/** Makes locks of rules that were checked. @throws {LockRulesError} when there are faults. */
export function locksOf(
  { masters, rules }: Checked,
  faults: readonly RulesProblem[],
  options: LocksOptions,
): ChangeableLocks {
  return createLocks(redlockOptionsOf({ masters }, faults, options), rules);
}

/** The options of the `Redlock` of rules that were checked. @throws {LockRulesError} when there are faults. */
export function redlockOptionsOf(
  { masters }: Pick<Checked, "masters">,
  faults: readonly RulesProblem[],
  { redlock }: LocksOptions,
): RedlockOptions {
  const counting =
    redlock?.nodes === undefined ? faults : faults.filter(({ path }) => !/^nodes\b/.test(path));
  if (counting.length > 0) throw new LockRulesError(counting);
  // What is there without a value does not take the place of one.
  const given = Object.entries(redlock ?? {}).filter(([, value]) => value !== undefined);
  return { ...masters.options, ...Object.fromEntries(given) };
}
