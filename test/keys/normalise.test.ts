import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LockKeyError } from "../../src/errors.ts";
import {
  type LockKeys,
  MAX_KEY_BYTES,
  MAX_KEYS,
  normaliseKey,
  normaliseKeys,
} from "../../src/keys/normalise.ts";

function keysOf(given: LockKeys): readonly string[] {
  return normaliseKeys(given).keys;
}

describe("normaliseKeys", () => {
  it("returns a key unchanged", () => {
    const key = " order:%3A {1}\n/Zürich/🙂@";
    expect(keysOf(key)).toEqual([key]);
    expect(keysOf([key])).toEqual([key]);
  });

  it("sorts by code unit and drops repeated keys, without touching the caller's array", () => {
    const given = Object.freeze(["ä", "a", "Z", "🙂", "\uFFFD", "a"]);
    expect(keysOf(given)).toEqual(["Z", "a", "ä", "🙂", "\uFFFD"]);
  });

  it("gives the same order for the same keys", () => {
    const key = fc.string({ unit: "grapheme", minLength: 1 }).filter((key) => key[0] !== "@");
    fc.assert(
      fc.property(fc.array(key, { minLength: 1, maxLength: MAX_KEYS }), (keys) => {
        expect(keysOf(keys)).toEqual(keysOf(keys.toReversed()));
      }),
    );
  });

  it.each<[string, unknown, string]>([
    ["an empty string", "", "found an empty string, expected at least one character"],
    ["an empty array", [], "found an empty array, expected at least one key"],
    ["an array with an empty string", ["a", ""], "found an empty string"],
    ["an array with a hole", Array.from({ length: 2 }), "found nothing, expected a string"],
    ["a number", 7, "found 7, expected a key or an array of keys"],
    ["nothing", undefined, "found nothing"],
    ["an array with a hole", Object.assign([], { 1: "a" }), "found nothing"],
    ["null", null, "found null"],
    ["an object", { name: "a" }, "found an object"],
    ["a number in an array", ["a", 7], "found 7, expected a string"],
    ["a reserved name", "@guard", 'found "@guard", expected a key that does not begin with "@"'],
    ["a reserved name in an array", ["a", "@guard"], 'found "@guard"'],
    ["half a surrogate pair", "a\uD83D", "found half a surrogate pair"],
    ["too long a key", "ü".repeat(MAX_KEY_BYTES / 2) + "u", "found 65537 bytes"],
    ["too many keys", Array.from({ length: 101 }, (_, i) => `k${i}`), "found 101 keys"],
  ])("refuses %s, and names the value", (_, keys, message) => {
    const act = () => normaliseKeys(keys as string);
    expect(act).toThrow(LockKeyError);
    expect(act).toThrow(message);
  });

  it("accepts a key of exactly the longest length, and exactly as many keys as allowed", () => {
    expect(keysOf("ü".repeat(MAX_KEY_BYTES / 2))).toHaveLength(1);
    expect(keysOf(Array.from({ length: MAX_KEYS }, (_, i) => `k${i}`))).toHaveLength(MAX_KEYS);
  });
});

describe("normaliseKey", () => {
  it("returns a key unchanged", () => {
    expect(normaliseKey(" order:%3A {1}")).toBe(" order:%3A {1}");
  });

  it.each<[string, unknown, string]>([
    ["several keys", ["a", "b"], "found an array of 2, expected one key"],
    ["one key in an array", ["a"], "found an array of 1, expected one key"],
    ["a number", 7, "found 7, expected one key"],
    ["an empty string", "", "found an empty string, expected at least one character"],
    ["a reserved name", "@guard", 'found "@guard"'],
  ])("refuses %s, and names the value", (_, key, message) => {
    const act = () => normaliseKey(key as string);
    expect(act).toThrow(LockKeyError);
    expect(act).toThrow(message);
  });
});
