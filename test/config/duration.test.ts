import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DurationText, guessDuration, readDuration } from "../../src/config/duration.ts";
import { defineLocks } from "../../src/config/index.ts";

describe("a duration", () => {
  it.each<[unknown, number]>([
    [0, 0],
    [250, 250],
    ["250ms", 250],
    ["15s", 15_000],
    ["1.5s", 1_500],
    ["0.7s", 700],
    ["2.007s", 2_007],
    ["5m", 300_000],
    ["1h", 3_600_000],
    ["1d", 86_400_000],
  ])("%j is %i ms", (written, ms) => {
    expect(readDuration(written)).toBe(ms);
  });

  it.each([
    -1,
    1.5,
    Number.NaN,
    Infinity,
    "",
    "s",
    "5",
    "5 s",
    "5S",
    "1e3s",
    "-5s",
    "1.5ms",
    "+5s",
    "5w",
    "5s ",
    null,
  ])("%j is no duration", (written) => {
    expect(readDuration(written)).toBeUndefined();
  });

  it("is whole seconds, however many", () => {
    fc.assert(
      fc.property(fc.nat(), (seconds) => {
        expect(readDuration(`${seconds}s`)).toBe(seconds * 1_000);
        expect(readDuration(`${seconds / 1_000}s`)).toBe(seconds);
      }),
    );
  });

  it.each([
    ["10sec", "10s"],
    ["10 s", "10s"],
    ["5 Minutes", "5m"],
    ["5min", "5m"],
    ["100 msec", "100ms"],
    ["100millis", "100ms"],
    ["2 hours", "2h"],
    ["1 day", "1d"],
    [" 1S", "1s"],
  ])("%j means %j", (written, meant) => {
    expect(guessDuration(written)).toBe(meant);
  });

  it.each(["ten seconds", "5x", "", 5, null])("guesses nothing for %j", (written) => {
    expect(guessDuration(written)).toBeUndefined();
  });
});

describe("the type of a duration with its unit", () => {
  const read: DurationText[] = [
    "0s",
    "0ms",
    "5s",
    "250ms",
    "100ms",
    "1.5s",
    "0.7s",
    "0.05s",
    "0.005s",
    "2.007s",
    "1.50s",
    "10.25m",
    "1.25h",
    "0.5d",
  ];
  it.each<string>(read)("has %j, which can be read", (text) => {
    expect(readDuration(text)).toBeDefined();
  });

  const refused: DurationText[] = [
    // @ts-expect-error a space
    "5 s",
    // @ts-expect-error a space
    " 5s",
    // @ts-expect-error a space
    "5s ",
    // @ts-expect-error a space
    "1.5 s",
    // @ts-expect-error a sign
    "-5s",
    // @ts-expect-error a sign
    "+5s",
    // @ts-expect-error an exponent
    "1e3s",
    // @ts-expect-error another base
    "0x10s",
    // @ts-expect-error a separator
    "1_000s",
    // @ts-expect-error no digit before the point
    ".5s",
    // @ts-expect-error no digit after the point
    "5.s",
    // @ts-expect-error a part of a millisecond
    "1.5ms",
    // @ts-expect-error an unknown unit
    "5w",
    // @ts-expect-error an unknown unit
    "5S",
    // @ts-expect-error no unit
    "5",
    // @ts-expect-error no number
    "s",
    // @ts-expect-error nothing
    "",
  ];
  it.each<string>(refused)("has no %j, which cannot be read", (text) => {
    expect(readDuration(text)).toBeUndefined();
  });

  it("is that of rules in code", () => {
    const nodes = ["redis://a", "redis://b", "redis://c"];
    // @ts-expect-error a space
    expect(() => defineLocks({ nodes, ttl: "5 s", rules: [{ key: "a" }] })).toThrow('"5s"');
    // @ts-expect-error a space
    expect(() => defineLocks({ nodes, rules: [{ key: "a", maxWait: "5 s" }] })).toThrow('"5s"');
  });
});
