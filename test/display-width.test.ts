import { expect, it } from "vitest";
import { displayWidth } from "../src/display-width.ts";

it.each([
  ["", 0],
  ["abc", 3],
  ["日本語", 6],
  ["한국", 4],
  ["🙂", 2],
  ["e\u0301", 1],
  ["Zürich", 6],
  ["ｆｕｌｌ", 8],
  ["a\u200Bb", 2],
  ["...", 3],
])("%j is %d columns wide", (text, width) => {
  expect(displayWidth(text)).toBe(width);
});
