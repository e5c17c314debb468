import { LockKeyError } from "../errors.ts";
import { describeValue } from "../sentences.ts";

/** The number of keys that a lock may have. */
export const MAX_KEYS = 100;

/** The length of a key that `Redlock` accepts, in bytes of UTF-8. */
export const MAX_KEY_BYTES = 64 * 1024;

/** The largest number of holders that a key can have: a master examines all slots of a key that is full. */
export const LARGEST_LIMIT = 1_000;
export const LIMIT_EXPECTED = `a whole number of holders from 1 to ${LARGEST_LIMIT}`;

/** The first character of the library's own names, which no key may begin with. */
export const RESERVED_PREFIX = "@";

/** A key that so many clients may hold at the same time. */
export interface LimitedKey {
  key: string;
  /** From 1 to 1000. @defaultValue the `limit` of the call or the job */
  limit?: number;
}

/** What is locked: keys, all or none. */
export type LockKeys = string | LimitedKey | readonly (string | LimitedKey)[];

/** The keys of a lock. */
export interface NormalKeys {
  /** Sorted, without duplicates. */
  readonly keys: string[];
  /** How many holders each may have; `undefined` when each may have one. */
  readonly limits: readonly number[] | undefined;
}

/**
 * Checks the keys of a lock, removes duplicates and sorts the rest.
 *
 * A key is not changed, because other programs may lock the same name. The order is that of UTF-16 code units, which does not
 * depend on the locale of the process.
 *
 * @throws {LockKeyError} when there is no key, when there are more than {@link MAX_KEYS}, or when a key is not a string, is
 * empty, begins with `@`, has half a surrogate pair, or has more than {@link MAX_KEY_BYTES} bytes.
 */
export function normaliseKeys(keys: LockKeys, limit = 1): NormalKeys {
  if (typeof keys === "string") {
    return { keys: [checkKey(keys)], limits: limit === 1 ? undefined : [limit] };
  }
  const given: unknown = keys;
  // A hole in an array is undefined, as any other value that is no key.
  const all: readonly unknown[] = Array.isArray(given) ? Array.from(given as unknown[]) : [given];
  if (!Array.isArray(given) && !isLimited(given)) {
    throw problem(describeValue(given), "a key or an array of keys");
  }
  const limited = all.map((each) => readLimitedKey(each, limit, problem));
  for (const { key } of limited) checkKey(key);
  const normal = combineKeys(limited as { key: string; limit: number }[], problem);
  if (normal.keys.length === 0) throw problem("an empty array", "at least one key");
  if (normal.keys.length > MAX_KEYS)
    throw problem(`${normal.keys.length} keys`, `at most ${MAX_KEYS} for one lock`);
  return normal;
}

/** Makes the error for what was found and what was expected. */
type Refuse = (found: string, expected: string) => Error;

/** Reads a key with or without a limit of its own. The key itself is not checked. */
export function readLimitedKey(
  given: unknown,
  limit: number,
  refuse: Refuse,
): { key: unknown; limit: number } {
  if (!isLimited(given)) return { key: given, limit };
  const unknown = Object.keys(given).find((name) => name !== "key" && name !== "limit");
  if (unknown !== undefined) {
    throw refuse(`an object with ${describeValue(unknown)}`, "an object of key and limit");
  }
  const { key, limit: own = limit } = given;
  return { key, limit: checkLimit(own, refuse) };
}

/** @throws the error of `refuse` for what is no limit. */
export function checkLimit(limit: unknown, refuse: Refuse): number {
  if (Number.isInteger(limit) && (limit as number) >= 1 && (limit as number) <= LARGEST_LIMIT) {
    return limit as number;
  }
  const isShort = typeof limit === "number" || typeof limit === "string";
  const found = describeValue(limit);
  throw refuse(isShort ? `a limit of ${found}` : `${found} as a limit`, LIMIT_EXPECTED);
}

/** Sorts keys and removes duplicates, which must have the same limit. */
export function combineKeys(
  given: readonly { readonly key: string; readonly limit: number }[],
  refuse: Refuse,
): NormalKeys {
  const limits = new Map<string, number>();
  for (const { key, limit } of given) {
    const other = limits.get(key);
    if (other !== undefined && other !== limit) {
      const found = `limits of ${other} and ${limit} for the same key ${describeValue(key)}`;
      throw refuse(found, "one limit for each key");
    }
    limits.set(key, limit);
  }
  const keys = [...limits.keys()].sort();
  const areOne = [...limits.values()].every((limit) => limit === 1);
  return { keys, limits: areOne ? undefined : keys.map((key) => limits.get(key) ?? 1) };
}

/** Whether a value is meant as a {@link LimitedKey}. */
export function isLimited(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && "key" in value;
}

/** Checks a single key. @throws {LockKeyError} for an array, and as {@link normaliseKeys}. */
export function normaliseKey(key: string): string {
  const given: unknown = key;
  if (typeof given !== "string") throw problem(describeValue(given), "one key");
  return checkKey(given);
}

/** Checks a key, except its length. @throws the error of `refuse` for what is no key. */
export function requireKey(key: unknown, refuse: Refuse): asserts key is string {
  if (typeof key !== "string") throw refuse(describeValue(key), "a string");
  if (key === "") throw refuse("an empty string", "at least one character");
  if (key.startsWith(RESERVED_PREFIX)) {
    throw refuse(describeValue(key), `a key that does not begin with "${RESERVED_PREFIX}"`);
  }
  // Such strings have no UTF-8 form: different ones would be the same name in Redis.
  if (!key.isWellFormed()) {
    throw refuse(`half a surrogate pair in ${describeValue(key)}`, "well-formed Unicode");
  }
}

function checkKey(key: unknown): string {
  requireKey(key, problem);
  const bytes = Buffer.byteLength(key);
  if (bytes > MAX_KEY_BYTES) throw problem(`${bytes} bytes`, `at most ${MAX_KEY_BYTES}`);
  return key;
}

function problem(found: string, expected: string): LockKeyError {
  return new LockKeyError({ message: `lock key: found ${found}, expected ${expected}` });
}
