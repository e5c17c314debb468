import type { KeyJob } from "../keys/job.ts";
import { valuesAt, writeSteps } from "../keys/lookup.ts";
import { parsePath, type TemplatePath } from "../keys/template-parser.ts";
import { Glob } from "./glob.ts";

/** What a condition compares a value with; null is a value that is missing, or null. */
export type ConditionValue = string | number | boolean | null;
/** Conditions as rules have them: paths into the job, each with one value or any of several. */
export type Conditions = Readonly<Record<string, ConditionValue | readonly ConditionValue[]>>;

/** Compares the value at a path of a job, or with `[*]` any of the values, with any of some patterns. */
export class Condition {
  /** The path as templates have it: one way to write it for each. */
  readonly path: string;
  readonly patterns: readonly (Glob | null)[];
  readonly #from: TemplatePath;

  /**
   * @param known paths that were read before, by how they are written.
   * @throws {LockConfigError} when the path is none.
   */
  constructor(
    path: string,
    values: ConditionValue | readonly ConditionValue[],
    known = new Map<string, TemplatePath>(),
  ) {
    const from = known.get(path) ?? parsePath(path, path);
    known.set(path, from);
    this.#from = from;
    this.path = from.root + writeSteps(from.steps);
    this.patterns = asList(values).map((value) =>
      value === null ? null : new Glob(String(value)),
    );
  }

  holds(job: KeyJob): boolean {
    const { root, steps } = this.#from;
    const values = valuesAt(job[root], steps);
    return this.patterns.some((pattern) => values.some((value) => matches(pattern, value)));
  }

  /** Whether this one holds wherever the other does. */
  covers(other: Condition): boolean {
    return (
      this.path === other.path &&
      other.patterns.every((narrow) => this.patterns.some((wide) => coversPattern(wide, narrow)))
    );
  }

  /** Whether this one holds nowhere where the other does; unknown, so false, where that takes more than a look at names. */
  excludes(other: Condition): boolean {
    return (
      this.path === other.path &&
      !this.path.includes("[*]") &&
      other.patterns.every((one) => one === null || one.isName) &&
      !other.patterns.some((one) => this.patterns.some((own) => coversPattern(own, one)))
    );
  }
}

/** A value, or several, as a list. */
export function asList<T>(values: T | readonly T[]): readonly T[] {
  return Array.isArray(values) ? (values as readonly T[]) : [values as T];
}

function coversPattern(wide: Glob | null, narrow: Glob | null): boolean {
  return wide === null || narrow === null ? wide === narrow : wide.covers(narrow);
}

const SCALARS = new Set(["string", "number", "boolean", "bigint"]);

/** As in a key, the number 1 and the text "1" are the same; no pattern matches an object or an array. */
function matches(pattern: Glob | null, value: unknown): boolean {
  if (pattern === null) return value === undefined || value === null;
  return SCALARS.has(typeof value) && pattern.matches(String(value));
}
