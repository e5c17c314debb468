import { expect, test, vi } from "vitest";
import { useRedisNodes } from "../support/redis.ts";

const nodes = useRedisNodes(3);

test("a Redlock works that was imported under fake timers, once they are real again", async () => {
  vi.resetModules();
  vi.useFakeTimers();
  const { Redlock } = await import("../../src/index.ts");
  vi.useRealTimers();
  await using redlock = new Redlock(nodes.redlockOptions);
  await redlock.ready();
  // Requests that are started while answers are under way.
  const work = async (task: number): Promise<void> => {
    for (let round = 0; round < 20; round++) {
      await redlock.using(`account:${task}`, async (lock) => {
        if (task % 2 === 0) await lock.extend();
      });
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, task) => work(task)));

  expect(redlock.status().ok).toBe(true);
});
