import { LockKeyError } from "../errors.ts";
import { describeValue } from "../sentences.ts";

/** The number of keys that a lock may have. */
export const MAX_KEYS = 100;

/** The length of a key that `Redlock` accepts, in bytes of UTF-8. */
export const MAX_KEY_BYTES = 64 * 1024;

/** The first character of the library's own names, which no key may begin with. */
export const RESERVED_PREFIX = "@";

// Lone surrogates only, because the `u` flag reads pairs as one character.
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Checks the keys of a lock, removes duplicates and sorts the rest.
 *
 * A key is not changed, because other programs may lock the same name. The order is that of UTF-16 code units, which does not
 * depend on the locale of the process.
 *
 * @throws {LockKeyError} when there is no key, when there are more than {@link MAX_KEYS}, or when a key is not a string, is
 * empty, begins with `@`, has half a surrogate pair, or has more than {@link MAX_KEY_BYTES} bytes.
 */
export function normaliseKeys(keys: string | readonly string[]): string[] {
  if (typeof keys === "string") return [checkKey(keys)];
  const given: unknown = keys;
  if (!Array.isArray(given)) throw problem(describeValue(given), "a key or an array of keys");

  const normalised = [...new Set(Array.from(given, checkKey))].sort();
  if (normalised.length === 0) throw problem("an empty array", "at least one key");
  if (normalised.length > MAX_KEYS)
    throw problem(`${normalised.length} keys`, `at most ${MAX_KEYS} for one lock`);
  return normalised;
}

/** Checks a single key. @throws {LockKeyError} for an array, and as {@link normaliseKeys}. */
export function normaliseKey(key: string): string {
  const given: unknown = key;
  if (typeof given !== "string") throw problem(describeValue(given), "one key");
  return checkKey(given);
}

/** Finds the problem of a key, except its length. */
export function findKeyProblem(key: unknown): { found: string; expected: string } | undefined {
  if (typeof key !== "string") return { found: describeValue(key), expected: "a string" };
  if (key === "") return { found: "an empty string", expected: "at least one character" };
  if (key.startsWith(RESERVED_PREFIX))
    return {
      found: describeValue(key),
      expected: `a key that does not begin with "${RESERVED_PREFIX}"`,
    };
  // Such strings have no UTF-8 form: different ones would be the same name in Redis.
  if (LONE_SURROGATE.test(key))
    return {
      found: `half a surrogate pair in ${describeValue(key)}`,
      expected: "well-formed Unicode",
    };
  return undefined;
}

function checkKey(key: unknown): string {
  const wrong = findKeyProblem(key);
  if (wrong !== undefined) throw problem(wrong.found, wrong.expected);
  const bytes = Buffer.byteLength(key as string);
  if (bytes > MAX_KEY_BYTES) throw problem(`${bytes} bytes`, `at most ${MAX_KEY_BYTES}`);
  return key as string;
}

function problem(found: string, expected: string): LockKeyError {
  return new LockKeyError({ message: `lock key: found ${found}, expected ${expected}` });
}
