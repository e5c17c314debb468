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
  ["👩‍👩‍👧", 2],
  ["🇩🇪", 2],
  ["👍🏽", 2],
  ["❤️", 2],
  ["1️⃣", 2],
  ["\u1112\u1161\u11AB", 2],
  ["क्षि", 1],
  ["\u202Ea", 1],
])("%j is %d columns wide", (text, width) => {
  expect(displayWidth(text)).toBe(width);
});
