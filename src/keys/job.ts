import { LockKeyError } from "../errors.ts";
import { describeValue } from "../sentences.ts";
import type { PathStep } from "./path-parser.ts";

/** The parts of a job from which keys are made. A BullMQ `Job` has them. */
export interface KeyJob {
  readonly id?: string | undefined;
  readonly name: string;
  readonly queueName: string;
  readonly data: unknown;
  readonly opts: unknown;
}

/** Names a job in a message, as `queue:id`, or in words without an id. Does not throw, whatever is passed as the job. */
export function describeJob(job: KeyJob): string {
  try {
    const { id, queueName } = job;
    return id === undefined ? `without an id in queue ${queueName}` : `${queueName}:${id}`;
  } catch {
    return "unreadable";
  }
}

/** A value in a job, and its path, such as `data.items[3]`. */
export interface FoundValue {
  readonly value: unknown;
  readonly path: string;
}

/** A problem of a value in a job. */
export class LookupProblem {
  readonly path: string;
  readonly message: string;

  constructor(path: string, found: string, expected: string) {
    this.path = path;
    this.message = `${path}: found ${found}, expected ${expected}`;
  }
}

const IDENTIFIER = /^[\p{ID_Continue}$-]+$/u;

/** Writes the steps of a path as in a template. */
export function writeSteps(steps: readonly PathStep[]): string {
  return steps
    .map((step) =>
      step.kind === "each"
        ? "[*]"
        : step.kind === "index"
          ? `[${step.index}]`
          : IDENTIFIER.test(step.name)
            ? `.${step.name}`
            : `[${JSON.stringify(step.name)}]`,
    )
    .join("");
}

/**
 * Follows a path through own properties only: `toString` and `__proto__` exist only when the data has them.
 *
 * @param optional whether a missing value on the way gives `undefined`, as with `?.`.
 * @throws {LookupProblem} when a step does not fit the value.
 */
export function lookUp(
  start: FoundValue,
  steps: readonly PathStep[],
  optional: boolean,
): FoundValue {
  let { value, path } = start;
  for (const step of steps) {
    if (optional && (value === undefined || value === null)) return { value: undefined, path };
    const isArray = Array.isArray(value);
    if (step.kind === "property" && (typeof value !== "object" || value === null || isArray))
      throw new LookupProblem(
        path,
        describeValue(value),
        `an object with "${step.name}"${isArray ? ", or [*] or [0] before it" : ""}`,
      );
    if (step.kind !== "property" && !isArray)
      throw new LookupProblem(path, describeValue(value), "an array");
    const key = step.kind === "property" ? step.name : step.kind === "index" ? step.index : "";
    value = ownValue(value as object, key);
    path += writeSteps([step]);
  }
  return { value, path };
}

/**
 * Returns all values at a path, for a comparison: `undefined` where a step does not fit, and none for an empty array. Throws
 * nothing.
 */
export function valuesAt(start: unknown, steps: readonly PathStep[]): readonly unknown[] {
  let values = [start];
  for (const step of steps) {
    values = values.flatMap((value) => {
      const isArray = Array.isArray(value);
      if (step.kind === "each") return isArray ? (value as unknown[]) : [undefined];
      if (step.kind === "index") return isArray ? [ownValue(value, step.index)] : [undefined];
      const isOwner = typeof value === "object" && value !== null && !isArray;
      return isOwner ? [ownValue(value, step.name)] : [undefined];
    });
  }
  return values;
}

function ownValue(owner: object, key: PropertyKey): unknown {
  return Object.hasOwn(owner, key) ? (owner as Record<PropertyKey, unknown>)[key] : undefined;
}

/** Whether a value is missing or null. @param emptyToo whether an empty one counts as missing. */
export function isMissing({ value }: FoundValue, emptyToo: boolean): boolean {
  if (value === undefined || value === null) return true;
  return emptyToo && (value === "" || (Array.isArray(value) && value.length === 0));
}

/**
 * Returns the elements for `[*]`.
 *
 * @throws {LookupProblem} for no array, or an empty one: a job must not lock nothing by accident.
 */
export function elementsOf({ value, path }: FoundValue): readonly unknown[] {
  if (!Array.isArray(value)) throw new LookupProblem(path, describeValue(value), "an array");
  if (value.length === 0)
    throw new LookupProblem(path, "an empty array", "at least one element to lock");
  return value;
}

/**
 * Returns a value as text: `1` and `"1"` name the same entity.
 *
 * @throws {LookupProblem} for a value that does not identify an entity.
 */
export function textOf({ value, path }: FoundValue): string {
  switch (typeof value) {
    case "string":
      if (value !== "") return value;
      throw new LookupProblem(path, "an empty string", "at least one character");
    case "number":
      if (Number.isFinite(value)) return String(value);
      throw new LookupProblem(path, String(value), "a finite number");
    case "boolean":
    case "bigint":
      return String(value);
    default:
      throw new LookupProblem(path, describeValue(value), "a string, number or boolean");
  }
}

/** Calls the function of an option for a job. @throws {LockKeyError} whatever it throws. */
export function callOf<T>(option: "key" | "limit", call: () => T, job: KeyJob): T {
  try {
    return call();
  } catch (cause) {
    if (cause instanceof LockKeyError) throw cause;
    const message = `the ${option} function threw ${describeThrown(cause)}`;
    throw new LockKeyError({ message, job: describeJob(job), cause });
  }
}

function describeThrown(thrown: unknown): string {
  try {
    return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : describeValue(thrown);
  } catch {
    return "an error that cannot be read";
  }
}
