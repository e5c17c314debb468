import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_READABLE_BYTES, shortenKey } from "../../src/keys/key-text.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

describe("shortenKey", () => {
  it("leaves a key of up to 512 bytes as it is", () => {
    for (const key of ["a", "x".repeat(512), "ü".repeat(256)]) expect(shortenKey(key)).toBe(key);
  });

  it("keeps the beginning of a longer key and hashes all of it", () => {
    const key = `order:${"x".repeat(512)}`;
    expect(shortenKey(key)).toBe(`order:${"x".repeat(122)}%sha256:${sha256(key)}`);
  });

  it("counts bytes, not characters, and never cuts a character in two", () => {
    const key = `a${"🙂".repeat(128)}`;
    expect(shortenKey(key)).toBe(`a${"🙂".repeat(31)}%sha256:${sha256(key)}`);
  });

  it("gives different keys for long keys that differ at the end only", () => {
    const start = "x".repeat(1_000_000);
    expect(shortenKey(`${start}a`)).not.toBe(shortenKey(`${start}b`));
  });

  it("never gives a short key the form of a shortened one", () => {
    const long = "x".repeat(513);
    const lookalike = shortenKey(long);
    expect(Buffer.byteLength(lookalike)).toBeLessThan(MAX_READABLE_BYTES);
    expect(shortenKey(lookalike)).not.toBe(lookalike);
    expect(shortenKey(lookalike)).toMatch(/%sha256:[0-9a-f]{64}$/);
  });

  it("is injective", () => {
    const key = fc
      .tuple(fc.string({ unit: "grapheme", minLength: 1 }), fc.nat({ max: 40 }), fc.nat({ max: 2 }))
      .map(([text, times, rounds]) => {
        let key = text.repeat(times + 1);
        for (let round = 0; round < rounds; round++) key = shortenKey(key);
        return key;
      });
    fc.assert(
      fc.property(key, key, (a, b) => {
        expect(shortenKey(a) === shortenKey(b)).toBe(a === b);
      }),
    );
  });
});
