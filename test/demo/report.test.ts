import { expect, test } from "vitest";
import { describeLines, shorten, wrap } from "../../demo/report.ts";

test("lists line numbers in order and joins those that follow each other", () => {
  expect(describeLines([9, 3, 4, 5, 1])).toBe("lines 1, 3-5, 9");
  expect(describeLines([7])).toBe("line 7");
});

test("ends a list of line numbers that nobody would read", () => {
  const odd = Array.from({ length: 1_000 }, (_, index) => 2 * index + 1);
  expect(describeLines(odd)).toMatch(/, 117, 119, \.\.\.$/);
});

test("breaks text before the margin, and shows no control characters of a user's file", () => {
  expect(wrap("one \u001B[31mtwo\nthree", 2)).toBe("  one [31mtwo three");
  const lines = wrap("word ".repeat(40).trim(), 4, "  - ").split("\n");
  expect(lines[0]).toMatch(/^ {2}- word/);
  expect(lines[1]).toMatch(/^ {4}word/);
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80);
});

test("cuts a text that is too long", () => {
  expect(shorten("abcdefgh", 6)).toBe("abc...");
  expect(shorten("abcdef", 6)).toBe("abcdef");
});
