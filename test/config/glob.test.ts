import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Glob } from "../../src/config/glob.ts";

const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 6 });

/** All names of up to 6 letters of three, one of which no pattern has. */
const names = Array.from({ length: 7 }, (_, length) => length).flatMap((length) =>
  Array.from({ length: 3 ** length }, (_, n) =>
    Array.from({ length }, (_, i) => "abc"[Math.floor(n / 3 ** i) % 3]).join(""),
  ),
);

function toRegExp(text: string): RegExp {
  return new RegExp(`^${text.replaceAll("*", "[^]*").replaceAll("?", "[^]")}$`);
}

describe("a glob", () => {
  it.each([
    ["invoices", "invoices", true],
    ["invoices", "Invoices", false],
    ["report-*", "report-", true],
    ["report-*", "my-report-1", false],
    ["*", "", true],
    ["?", "🙂", true],
    ["?", "", false],
    ["a.c", "abc", false],
    ["\\*", "*", true],
    ["\\*", "x", false],
    ["a\\?", "a?", true],
    ["\\\\", "\\", true],
    ["\\", "\\", true],
    ["[ab]", "a", false],
  ])("%j and %j: %s", (glob, name, matches) => {
    expect(new Glob(glob).matches(name)).toBe(matches);
  });

  it("matches as the regular expression that says the same", () => {
    fc.assert(
      fc.property(pattern, fc.constantFrom(...names), (text, name) => {
        expect(new Glob(text).matches(name)).toBe(toRegExp(text).test(name));
      }),
      { numRuns: 2_000 },
    );
  });

  it("covers another one if and only if it matches every name that the other matches", () => {
    const matching = new Map<string, string[]>();
    const matchedBy = (text: string): string[] => {
      const known = matching.get(text) ?? names.filter((name) => toRegExp(text).test(name));
      matching.set(text, known);
      return known;
    };
    let covered = 0;
    // Patterns of up to four parts tell themselves apart by names of up to six letters.
    const short = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 4 });
    fc.assert(
      fc.property(short, short, (wide, narrow) => {
        const truth = matchedBy(narrow).every((name) => toRegExp(wide).test(name));
        expect(new Glob(wide).covers(new Glob(narrow))).toBe(truth);
        covered += truth ? 1 : 0;
      }),
      { numRuns: 3_000 },
    );
    expect(covered).toBeGreaterThan(100);
  });

  it("is matched in a moment when it is made to take long", () => {
    const glob = new Glob(`${"*a".repeat(2_000)}b`);
    expect(glob.matches("a".repeat(20_000))).toBe(false);
  });

  it("does not look long at others that are very long", () => {
    const text = `*${"ab".repeat(20_000)}`.repeat(6);
    const slow = `*${"a".repeat(20_000)}b`;
    const start = performance.now();
    expect(new Glob(text).covers(new Glob(`${text}a`))).toBe(false);
    expect(new Glob(slow).covers(new Glob("a".repeat(200_000)))).toBe(false);
    expect(new Glob("*").covers(new Glob(text))).toBe(true);
    expect(performance.now() - start).toBeLessThan(2_000);
  });
});
