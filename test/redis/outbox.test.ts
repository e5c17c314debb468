import { expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { Batch } from "../../src/redis/batch.ts";
import { Request, type Operation } from "../../src/redis/operation.ts";
import { Outbox, type Waiting } from "../../src/redis/outbox.ts";

const release: Operation<readonly string[], void> = {
  name: "release",
  repeatable: true,
  lua: "",
  keys: (keys) => keys.flatMap((key) => [key, `fence of ${key}`]),
  argv: () => [],
  parse: () => {},
};
const listener = { answer: () => {}, failure: () => {}, late: () => {} };

function waiting(askedAt: number, ...keys: string[]): Waiting {
  return { batch: new Batch([new Request(release, keys)]), listener, askedAt };
}

test("the keys that wait to be sent are counted until they are taken out", () => {
  const outbox = new Outbox(systemClock);
  for (const each of [waiting(1, "a"), waiting(2, "b", "c"), waiting(3, "d"), waiting(9, "e")]) {
    outbox.add(each);
  }
  expect(outbox.size).toBe(5);
  outbox.takeFirst();
  expect(outbox.size).toBe(4);
  outbox.takeUntil(2);
  expect(outbox.size).toBe(2);
  outbox.takeOverdue(({ askedAt }) => (askedAt === 3 ? 0 : Infinity));
  expect(outbox.size).toBe(1);
  outbox.keepReleases(waiting(0, "f", "g").batch.requests);
  outbox.repeatReleases(listener);
  expect(outbox.size).toBe(3);
  outbox.takeUntil();
  expect([outbox.size, outbox.isEmpty]).toEqual([0, true]);
});
