import { LockConfigError, LockKeyError } from "../errors.ts";
import { describeJob, type KeyJob } from "./job.ts";
import { shortenKey } from "./key-text.ts";
import { MAX_KEYS, findKeyProblem } from "./normalise.ts";
import { parseTemplate } from "./template.ts";
import { describeValue } from "../sentences.ts";

/** Returns the keys of a job; `null` lets the job run without a lock. The function must be synchronous. */
export type KeyFunction<Job extends KeyJob = KeyJob> = (
  job: Job,
) => string | readonly string[] | null;

/** The keys of a job: a template such as `"order:{{data.orderId}}"`, several, or a function. */
export type KeyOption<Job extends KeyJob = KeyJob> = string | readonly string[] | KeyFunction<Job>;

/** Returns the keys of a job, sorted and without duplicates, or `null` for no lock. */
export type KeyResolver<Job extends KeyJob = KeyJob> = (job: Job) => string[] | null;

const EXPECTED = "a string, an array of strings, or null for no lock";

/**
 * Creates the function that returns the keys of a job. Its lists are not empty, and it throws only {@link LockKeyError}.
 *
 * @throws {LockConfigError} when a template is wrong, when there is none, or when the option is neither templates nor a
 * function.
 */
export function createKeyResolver<Job extends KeyJob>(key: KeyOption<Job>): KeyResolver<Job> {
  if (typeof key === "function") return (job) => resolve(key, job);
  if (!Array.isArray(key)) {
    const template = parseTemplate(key as string);
    return (job) => template.render(job).sort();
  }
  if (key.length === 0)
    throw new LockConfigError({
      path: "key",
      found: "an empty list",
      expected: "at least one template",
    });
  if (key.length > MAX_KEYS)
    throw new LockConfigError({
      path: "key",
      found: `a list of ${key.length}`,
      expected: `at most ${MAX_KEYS} templates`,
    });
  const templates = key.map((text: string, index) => parseTemplate(text, `key[${index}]`));
  return (job) => {
    const keys = [...new Set(templates.flatMap((template) => template.render(job)))].sort();
    if (keys.length <= MAX_KEYS) return keys;
    throw new LockKeyError({
      message: `the key templates: found ${keys.length} different keys, expected at most ${MAX_KEYS} for one lock`,
      job: describeJob(job),
    });
  };
}

function resolve<Job extends KeyJob>(key: KeyFunction<Job>, job: Job): string[] | null {
  try {
    return readResult(key(job), job);
  } catch (cause) {
    if (cause instanceof LockKeyError) throw cause;
    throw new LockKeyError({
      message: `the key function threw ${describeThrown(cause)}`,
      job: describeJob(job),
      cause,
    });
  }
}

function readResult(result: unknown, job: KeyJob): string[] | null {
  if (result === null) return null;
  if (typeof result !== "string" && !Array.isArray(result)) {
    if (isThenable(result)) {
      // Without a handler, a rejection would end the process.
      Promise.resolve(result).catch(() => {});
      throw problem(job, "a promise", `${EXPECTED}; key functions are synchronous`);
    }
    throw problem(job, describeValue(result), EXPECTED);
  }
  const given: readonly unknown[] = typeof result === "string" ? [result] : result;
  const keys = [...new Set(Array.from(given, (key) => readKey(key, job)))].sort();
  if (keys.length === 0) throw problem(job, "an empty array", EXPECTED);
  if (keys.length > MAX_KEYS)
    throw problem(job, `${keys.length} different keys`, `at most ${MAX_KEYS} for one lock`);
  return keys;
}

function readKey(key: unknown, job: KeyJob): string {
  const wrong = findKeyProblem(key);
  if (wrong !== undefined) throw problem(job, wrong.found, wrong.expected);
  return shortenKey(key as string);
}

function problem(job: KeyJob, found: string, expected: string): LockKeyError {
  return new LockKeyError({
    message: `the key function returned ${found}, expected ${expected}`,
    job: describeJob(job),
  });
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value;
}

function describeThrown(thrown: unknown): string {
  try {
    return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : describeValue(thrown);
  } catch {
    return "an error that cannot be read";
  }
}
