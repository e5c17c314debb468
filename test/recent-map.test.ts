import { expect, test } from "vitest";
import { RecentMap } from "../src/recent-map.ts";

test("the entries that were set last are remembered", () => {
  const recent = new RecentMap<number, string>();
  for (let key = 0; key < 1_000; key++) recent.set(key, "first");
  recent.set(0, "again").set(1_000, "new");

  expect(recent.size).toBe(1_000);
  expect([...recent.keys()].slice(0, 2)).toEqual([2, 3]);
  expect(recent.get(0)).toBe("again");
});
