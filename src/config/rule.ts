import type { WithLockOptions } from "../bullmq/options.ts";
import { type KeyJob, valuesAt, writeSteps } from "../keys/job.ts";
import { parsePath, type TemplatePath } from "../keys/path-parser.ts";
import { Pattern } from "./pattern.ts";

/** A value that a condition expects; `null` is for a value that is missing, or null. */
export type ConditionValue = string | number | boolean | null;
/** Conditions of a rule: paths into the job, each with a value, or several of which any may fit. */
export type Conditions = Readonly<Record<string, ConditionValue | readonly ConditionValue[]>>;

/** The jobs that a rule matches, as it is written: all parts must fit. */
export interface RuleMatch {
  /** Queues: a name, a pattern with `*` and `?`, or several of which any may fit. @defaultValue `"*"` */
  queue?: string | readonly string[];
  /** Names of jobs, in the same form. @defaultValue `"*"` */
  job?: string | readonly string[];
  /**
   * Paths into the job, as in key templates, each with one or several {@link ConditionValue}. All conditions must hold. With
   * `[*]` in a path, one element that fits is enough, for `null` too.
   * @defaultValue none
   */
  when?: Conditions;
  /** Conditions in the same form, of which none may hold. @defaultValue none */
  unless?: Conditions;
}

/** A rule without problems. */
export interface Rule {
  /** Its index in the list, from 0. */
  readonly index: number;
  readonly written: RuleMatch;
  /** Conditions that all hold for its jobs; the first two are about the queue and the name of the job. */
  readonly when: readonly Condition[];
  /** Conditions that do not hold for its jobs. */
  readonly unless: readonly Condition[];
  /** The key template, or several; `null` for jobs that need no lock. */
  readonly key: string | readonly string[] | null;
  /** Options of `withLock`, with the defaults at the top. Durations are milliseconds. */
  readonly options: Omit<WithLockOptions, "redlock" | "key" | "skipResult">;
}

/** Finds the first rule that matches a job. */
export function findRule<R extends Rule>(rules: readonly R[], job: KeyJob): R | undefined {
  return rules.find(
    ({ when, unless }) =>
      when.every((condition) => condition.holds(job)) &&
      !unless.some((condition) => condition.holds(job)),
  );
}

/** Whether the wide rule matches every job that the narrow rule matches; false where that is unknown. */
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

/** Whether a rule matches no job, even without the rules before it. */
export function isEmpty({ when, unless }: Rule): boolean {
  return unless.some((condition) => when.some((other) => condition.covers(other)));
}

/** A test of the value at a path of a job, or with `[*]` of any of the values, against several patterns. */
export class Condition {
  /** The path in its normal form. */
  readonly path: string;
  readonly patterns: readonly (Pattern | null)[];
  readonly #parsed: TemplatePath;

  /** @throws {LockConfigError} when the path is wrong. */
  constructor(path: string, values: ConditionValue | readonly ConditionValue[]) {
    const parsed = parsePath(path, path);
    this.#parsed = parsed;
    this.path = parsed.root + writeSteps(parsed.steps);
    this.patterns = asList(values).map((value) =>
      value === null ? null : new Pattern(String(value)),
    );
  }

  holds(job: KeyJob): boolean {
    const { root, steps } = this.#parsed;
    const values = valuesAt(job[root], steps);
    return this.patterns.some((pattern) => values.some((value) => matches(pattern, value)));
  }

  /** Whether this condition holds for every job for which the other one holds. */
  covers(other: Condition): boolean {
    return (
      this.path === other.path &&
      other.patterns.every((narrow) => this.patterns.some((wide) => coversPattern(wide, narrow)))
    );
  }

  /** Whether this condition holds for no job for which the other one holds; only names are compared, else it is false. */
  excludes(other: Condition): boolean {
    return (
      this.path === other.path &&
      !this.path.includes("[*]") &&
      other.patterns.every((one) => one === null || one.isName) &&
      !other.patterns.some((one) => this.patterns.some((own) => coversPattern(own, one)))
    );
  }
}

/** Returns one value or several as a list. */
export function asList<T>(values: T | readonly T[]): readonly T[] {
  return Array.isArray(values) ? (values as readonly T[]) : [values as T];
}

function coversPattern(wide: Pattern | null, narrow: Pattern | null): boolean {
  return wide === null || narrow === null ? wide === narrow : wide.covers(narrow);
}

const SCALARS = new Set(["string", "number", "boolean", "bigint"]);

/** The number 1 and the text "1" are the same, as in a key. No pattern matches an object or an array. */
function matches(pattern: Pattern | null, value: unknown): boolean {
  if (pattern === null) return value === undefined || value === null;
  return SCALARS.has(typeof value) && pattern.matches(String(value));
}
