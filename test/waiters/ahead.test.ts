import { describe, expect, it } from "vitest";
import { namesUnder } from "../../src/lock/stored-lock.ts";
import { SimulatedMaster } from "../../src/testing/memory/simulated-master.ts";
import { VirtualClock } from "../../src/testing/memory/virtual-clock.ts";
import { joinOperation } from "../../src/waiters/join-operation.ts";
import { positionOf } from "../../src/waiters/waiter.ts";
import { useLockNode } from "../support/lock-node.ts";
import { redisClient, useRedisNodes } from "../support/redis.ts";

const servers = useRedisNodes(1);
const names = namesUnder("redlock:");
const { ask } = useLockNode(servers);

/** Joins waiters of these queues, in order; the last one learns how many are before it. */
async function aheadOfLast(queues: readonly string[]): Promise<number> {
  await redisClient(servers.urls[0] ?? "").flushall();
  const newcomers = queues.map((queueId, index) => ({
    position: positionOf(index, queueId, String(index)),
    priority: 0,
    record: "p1@here",
    replaces: false,
  }));
  const joining = { names, keys: ["k"], limits: [1], process: "here", live: false };
  const twin = new SimulatedMaster(new VirtualClock());
  const [real] = await ask(joinOperation, { ...joining, newcomers });
  const [simulated] = twin.execute(joinOperation, { ...joining, newcomers }, "");
  expect(simulated?.ahead).toEqual(real?.ahead);
  return real?.ahead.at(-1) ?? NaN;
}

const many = (count: number, queue: string): string[] => Array.from({ length: count }, () => queue);

describe("a waiter that joins", () => {
  it.each<[string, number, string[]]>([
    ["the waiters of its queue, near the front", 20, [...many(10, "a"), ...many(20, "b")]],
    ["no waiters of another queue, however many", 0, many(700, "a")],
    ["the few of its queue among many others", 3, [...many(400, "a"), ...many(3, "b")]],
    ["those at the front too", 4, [...many(4, "b"), ...many(200, "a")]],
    ["all when many are of its queue", 409, [...many(400, "a"), ...many(9, "b")]],
    ["all in a long list of its own queue", 600, many(600, "b")],
  ])("counts %s", async (_, ahead, before) => {
    expect(await aheadOfLast([...before, "b"])).toBe(ahead);
  });

  it("counts as the simulated master does, for each of two mixed queues", async () => {
    for (const share of [3, 17, 90]) {
      const mixed = Array.from({ length: 650 }, (_, index) => (index % share === 0 ? "b" : "a"));
      await aheadOfLast(mixed);
    }
  });
});
