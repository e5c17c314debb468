import { count } from "../../src/sentences.ts";
import { describe, expect, it } from "vitest";
import { printable } from "../../src/printable.ts";
import { duration, list, moment, ordinal, shellWord } from "../../src/describe/words.ts";
import { table, wrap } from "../../src/cli/screen.ts";

describe("words for people", () => {
  it.each([
    [-5, "0 ms"],
    [0, "0 ms"],
    [850.4, "850 ms"],
    [999.6, "1 s"],
    [1_000, "1 s"],
    [12_340, "12.3 s"],
    [59_949, "59.9 s"],
    [59_960, "1 min"],
    [119_999, "2 min"],
    [125_000, "2 min 5 s"],
    [3_599_999, "1 h"],
    [3_660_000, "1 h 1 min"],
    [86_399_999, "1 d"],
    [273_600_000, "3 d 4 h"],
  ])("say %d ms as %s", (ms, words) => {
    expect(duration(ms)).toBe(words);
  });

  it("quote the last operand of a command", () => {
    expect(["account:42", "a b", "it's", "-dash"].map(shellWord)).toEqual([
      "account:42",
      "'a b'",
      String.raw`'it'\''s'`,
      "-- '-dash'",
    ]);
  });

  it("say at which position", () => {
    expect([1, 2, 3, 4, 11, 12, 13, 21, 102, 113, 1_000].map(ordinal).join(" ")).toBe(
      "1st 2nd 3rd 4th 11th 12th 13th 21st 102nd 113th 1000th",
    );
  });

  it("say when, how many, and which", () => {
    expect(moment(1_795_553_830_787)).toBe("2026-11-24 20:57:10 UTC");
    expect(moment(9e15)).toBe("an unknown time");
    expect([count(0, "lock"), count(1, "lock"), count(2, "lock")]).toEqual([
      "0 locks",
      "1 lock",
      "2 locks",
    ]);
    expect([list([]), list(["a"]), list(["a", "b"]), list(["a", "b", "c"])]).toEqual([
      "",
      "a",
      "a and b",
      "a, b and c",
    ]);
  });

  it("do not steer a terminal, nor turn its text around", () => {
    expect(printable("a\u001B[31m\r\n\u202Eb\u009Bc\uD83D")).toBe(
      "a\uFFFD[31m\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD",
    );
    expect(printable("Zürich 日本 🙂")).toBe("Zürich 日本 🙂");
  });

  it("stand in columns, and break between words", () => {
    expect(table([["a", "bb"], ["ccc🙂", "d"], ["e"]])).toEqual([
      "  a      bb",
      "  ccc🙂  d",
      "  e",
    ]);
    expect(wrap("one two three", " ", 9)).toEqual([" one two", " three"]);
    expect(wrap("x".repeat(20), "", 9)).toEqual(["x".repeat(20)]);
  });
});
