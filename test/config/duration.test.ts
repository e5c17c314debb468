import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { guessDuration, readDuration } from "../../src/config/duration.ts";

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
  ])("%j is none", (written) => {
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
  ])("%j was meant as %j", (written, meant) => {
    expect(guessDuration(written)).toBe(meant);
  });

  it.each(["ten seconds", "5x", "", 5, null])("nobody knows what %j was meant as", (written) => {
    expect(guessDuration(written)).toBeUndefined();
  });
});
