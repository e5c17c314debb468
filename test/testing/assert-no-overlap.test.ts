import { expect, it } from "vitest";
import { assertNoOverlap, type CriticalSection } from "../../src/testing/index.ts";

it("accepts sections of other keys, and adjacent ones, in any order", () => {
  assertNoOverlap([]);
  assertNoOverlap([
    { key: "a", from: 3, to: 5 },
    { key: "b", from: 0, to: 9 },
    { key: "a", from: 1, to: 3 },
    { key: "a", from: 1, to: 1 },
    { key: "a", from: 5, to: 5 },
  ]);
});

it("names the two that overlap, with all that was recorded of them", () => {
  const history = [
    { key: "a", from: 0, to: 9, job: "1" },
    { key: "a", from: 1, to: 2, job: "2" },
  ];
  expect(() => assertNoOverlap(history)).toThrow(
    '"a": {"key":"a","from":0,"to":9,"job":"1"} and {"key":"a","from":1,"to":2,"job":"2"} overlap',
  );
});

it("finds one that overlaps with a section that is not the one before it", () => {
  const history = [
    { key: "a", from: 0, to: 9 },
    { key: "a", from: 9, to: 9 },
    { key: "a", from: 8, to: 10 },
  ];
  expect(() => assertNoOverlap(history)).toThrow(/"to":9.*"from":8.*overlap/);
});

it.each([
  { key: "a", from: 2, to: 1 },
  { key: "a", from: Number.NaN, to: 1 },
])("refuses %o", (section) => {
  expect(() => assertNoOverlap([section])).toThrow("expected from <= to");
});

it.each<[unknown, string]>([
  [undefined, "expected a list of sections, found nothing"],
  [5, "expected a list of sections, found 5"],
  [[null], "expected { key: a text, from: a number, to: a number }, found null"],
  [[{ key: "a", from: "1", to: 2 }], 'found {"key":"a","from":"1","to":2}'],
])("refuses what is no list of sections: %j", (history, message) => {
  expect(() => assertNoOverlap(history as CriticalSection[])).toThrow(message);
});
