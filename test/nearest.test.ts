import { describe, expect, it } from "vitest";
import { nearest } from "../src/nearest.ts";

describe("the nearest name", () => {
  it.each([
    ["dealy", ["delay", "wait"], "delay"],
    ["tll", ["ttl", "nodes"], "ttl"],
    ["onConflct", ["onConflict", "onLost"], "onConflict"],
    ["DATA", ["data", "name"], "data"],
    ["keyPrefix", ["nodes", "prefix"], "prefix"],
    ["ttlMs", ["ttl", "maxTtl"], "ttl"],
    ["officially", ["off", "all"], undefined],
    ["retries", ["ttl", "nodes"], undefined],
    ["x", ["id"], undefined],
    ["", ["id", "data"], undefined],
    ["a".repeat(1_000_000), ["data"], undefined],
  ])("to %s", (word, names, expected) => {
    expect(nearest(word, names)).toBe(expected);
  });
});
