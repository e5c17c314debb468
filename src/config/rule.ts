import type { WithLockOptions } from "../bullmq/options.ts";
import type { KeyJob } from "../keys/job.ts";
import type { Condition, Conditions } from "./condition.ts";

/** Which jobs a rule is for, as it is written: all of it must fit. */
export interface RuleMatch {
  /** Queues: a name, a pattern with `*` and `?`, or any of several. @defaultValue `"*"` */
  queue?: string | readonly string[];
  /** Names of jobs, likewise. @defaultValue `"*"` */
  job?: string | readonly string[];
  /**
   * Paths into the job, as in key templates, each with a pattern or any of several; `null` is for what is missing. All of
   * it must hold. With `[*]` in the path, one element that fits is enough, for `null` too.
   * @defaultValue none
   */
  when?: Conditions;
  /** The same for jobs that the rule is not for: none of it may hold. @defaultValue none */
  unless?: Conditions;
}

/** A rule that was read and found right. */
export interface Rule {
  /** Its place in the list, from 0. */
  readonly index: number;
  readonly written: RuleMatch;
  /** What all hold for its jobs; the first two are about the queue and the name of the job. */
  readonly when: readonly Condition[];
  /** What none holds for its jobs. */
  readonly unless: readonly Condition[];
  /** The key template, or several; `null` for jobs that need no lock. */
  readonly key: string | readonly string[] | null;
  /** Options of `withLock`, those at the top among them. Durations are milliseconds. */
  readonly options: Omit<WithLockOptions, "redlock" | "key" | "skipResult">;
}

/** The first rule that matches a job. */
export function findRule<R extends Rule>(rules: readonly R[], job: KeyJob): R | undefined {
  return rules.find(
    ({ when, unless }) =>
      when.every((condition) => condition.holds(job)) &&
      !unless.some((condition) => condition.holds(job)),
  );
}

/** Whether every job that a rule matches is matched by the other one, too. */
export function covers(wide: Rule, narrow: Rule): boolean {
  return (
    wide.when.every((condition) => narrow.when.some((other) => condition.covers(other))) &&
    wide.unless.every(
      (condition) =>
        narrow.unless.some((other) => other.covers(condition)) ||
        narrow.when.some((other) => condition.excludes(other)),
    )
  );
}

/** Whether a rule matches no job, whatever stands before it. */
export function isEmpty({ when, unless }: Rule): boolean {
  return unless.some((condition) => when.some((other) => condition.covers(other)));
}
