import { refuseValue } from "../check-options.ts";
import { LockKeyError } from "../errors.ts";
import { callOf, describeJob, type KeyJob } from "./job.ts";
import { shortenKey } from "./key-text.ts";
import type { Limit } from "./limit.ts";
import {
  combineKeys,
  isLimited,
  type LockKeys,
  MAX_KEYS,
  type NormalKeys,
  readLimitedKey,
  requireKey,
} from "./normalise.ts";
import { parseTemplate } from "./template.ts";
import { describeValue } from "../sentences.ts";

/**
 * Returns the keys of a job, with limits of their own where they have some; `null` lets the job run without a lock. The function
 * must be synchronous.
 */
export type KeyFunction<Job extends KeyJob = KeyJob> = (job: Job) => LockKeys | null;

/** The keys of a job: a template such as `"order:{{data.orderId}}"`, several, or a function. */
export type KeyOption<Job extends KeyJob = KeyJob> = string | readonly string[] | KeyFunction<Job>;

/** Returns the keys of a job, sorted and without duplicates, with their limits, or `null` for no lock. */
export type KeyResolver<Job extends KeyJob = KeyJob> = (job: Job) => NormalKeys | null;

const EXPECTED = "a string, an array of strings, or null for no lock";

/**
 * Creates the function that returns the keys of a job. Its lists are not empty, and it throws only {@link LockKeyError}.
 *
 * @throws {LockConfigError} when a template is wrong, when there is none, or when the option is neither templates nor a
 * function.
 */
export function createKeyResolver<Job extends KeyJob>(
  key: KeyOption<Job>,
  limit: Limit<Job> = 1,
): KeyResolver<Job> {
  const limitOf = typeof limit === "number" ? () => limit : limit;
  if (typeof key === "function") {
    return (job) => callOf("key", () => readResult(key(job), job, () => limitOf(job)), job);
  }
  const withLimit = (job: Job, keys: string[]): NormalKeys => {
    const own = limitOf(job);
    return { keys, limits: own === 1 ? undefined : keys.map(() => own) };
  };
  if (!Array.isArray(key)) {
    const template = parseTemplate(key as string);
    return (job) => withLimit(job, template(job).sort());
  }
  if (key.length === 0) refuseValue("key", "an empty list", "at least one template");
  if (key.length > MAX_KEYS)
    refuseValue("key", `a list of ${key.length}`, `at most ${MAX_KEYS} templates`);
  const templates = key.map((text: string, index) => parseTemplate(text, `key[${index}]`));
  return (job) => {
    const keys = [...new Set(templates.flatMap((template) => template(job)))].sort();
    if (keys.length <= MAX_KEYS) return withLimit(job, keys);
    throw new LockKeyError({
      message: `the key templates: found ${keys.length} different keys, expected at most ${MAX_KEYS} for one lock`,
      job: describeJob(job),
    });
  };
}

function readResult(result: unknown, job: KeyJob, limitOf: () => number): NormalKeys | null {
  if (result === null) return null;
  const refuse = (found: string, expected: string): LockKeyError =>
    new LockKeyError({
      message: `the key function returned ${found}, expected ${expected}`,
      job: describeJob(job),
    });
  if (typeof result !== "string" && !Array.isArray(result) && !isLimited(result)) {
    if (isThenable(result)) {
      // Without a handler, a rejection would end the process.
      Promise.resolve(result).catch(() => {});
      throw refuse("a promise", `${EXPECTED}; key functions are synchronous`);
    }
    throw refuse(describeValue(result), EXPECTED);
  }
  const given: readonly unknown[] = Array.isArray(result) ? result : [result];
  const limit = given.every(hasLimit) ? 1 : limitOf();
  const limited = Array.from(given, (each) => {
    const { key, limit: own } = readLimitedKey(each, limit, refuse);
    requireKey(key, refuse);
    return { key: shortenKey(key), limit: own };
  });
  const normal = combineKeys(limited, refuse);
  const { keys } = normal;
  if (keys.length === 0) throw refuse("an empty array", EXPECTED);
  if (keys.length > MAX_KEYS)
    throw refuse(`${keys.length} different keys`, `at most ${MAX_KEYS} for one lock`);
  return normal;
}

function hasLimit(given: unknown): boolean {
  return typeof given === "object" && given !== null && "limit" in given;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value;
}
