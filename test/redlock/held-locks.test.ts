import { expect, it } from "vitest";
import { HeldLocks } from "../../src/redlock/held-locks.ts";

it("holds what was added and not removed, whatever the order", () => {
  const locks = new HeldLocks<{ index: number }>();
  const [first, second, third, foreign] = Array.from({ length: 4 }, () => ({ index: -1 })) as [
    { index: number },
    { index: number },
    { index: number },
    { index: number },
  ];
  for (const lock of [first, second, third]) locks.add(lock);
  locks.delete(first);
  expect(new Set(locks)).toEqual(new Set([second, third]));
  // A lock that was released before it was added.
  locks.delete(foreign);
  locks.delete(first);
  expect([...locks]).toHaveLength(2);
  locks.delete(third);
  locks.add(first);
  locks.delete(second);
  expect([...locks]).toEqual([first]);
});
