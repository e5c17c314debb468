import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { queueIdIn, positionOf } from "../../src/waiters/waiter.ts";
import { joinOperation } from "../../src/waiters/join-operation.ts";
import { type Serving, serveOperation } from "../../src/waiters/serve-operation.ts";
import { type SkippedQueue } from "../../src/lock/wait-list-hooks.ts";
import { namesUnder } from "../../src/lock/stored-lock.ts";
import { useLockNode } from "../support/lock-node.ts";
import { redisClient, useRedisNodes } from "../support/redis.ts";

const servers = useRedisNodes(1);
const names = namesUnder("redlock:");
const { ask } = useLockNode(servers);

/** Reserves the key for the first waiter. */
function serving(token: number): Serving {
  const forFirst = { position: "", record: "", wakes: true, life: 2_000, live: false, gone: [] };
  return { names, key: "k", token, process: "here", skipped: [], ...forFirst };
}

/** Later than anything that the queues have done. */
function unresponsive(queueIds: readonly string[]): SkippedQueue[] {
  return queueIds.map((queueId) => ({ queueId, age: -60_000 }));
}

/** The first waiter, found by examining all; a waiter of a paused queue only if there is no other. */
async function firstWaiter(skipped: readonly string[]): Promise<string | undefined> {
  const client = redisClient(servers.urls[0] ?? "");
  const positions = await client.zrange(names.waiters("k"), "0", "-1");
  const queues = await client.hgetall(names.queues);
  const eligible = positions.filter((position) => !skipped.includes(queueIdIn(position)));
  const isPaused = (position: string): boolean =>
    queues[queueIdIn(position)]?.includes(":") === true;
  return eligible.find((position) => !isPaused(position)) ?? eligible[0];
}

describe("a wait list whose front is skipped", () => {
  const QUEUES = ["a", "b", "c"];
  type Change =
    | { kind: "join"; queueId: string; count: number; at: number; priority: number }
    | { kind: "join again" | "leave"; at: number; priority: number }
    | { kind: "pause" | "trust"; queueId: string }
    | { kind: "serve"; skipped: string[] };
  const queueId = fc.constantFrom(...QUEUES);
  const change: fc.Arbitrary<Change> = fc.oneof(
    fc.record({
      kind: fc.constant("join" as const),
      queueId,
      count: fc.constantFrom(1, 1, 3, 150),
      at: fc.nat(9),
      priority: fc.constantFrom(0, 0, 0, 1),
    }),
    fc.record({
      kind: fc.constantFrom("join again" as const, "leave" as const),
      // -1: the waiter that the script has noted.
      at: fc.constantFrom(-1, 0, 0.3, 0.6, 1),
      priority: fc.nat(1),
    }),
    fc.record({
      kind: fc.constantFrom("pause" as const, "pause" as const, "trust" as const),
      queueId,
    }),
    fc.record({
      kind: fc.constant("serve" as const),
      skipped: fc.subarray(QUEUES, { maxLength: 2 }),
    }),
  );

  async function joinAll(queueId: string, count: number, at: number, priority = 0): Promise<void> {
    const newcomers = Array.from({ length: count }, () => ({
      position: positionOf(at, queueId, String((ids += 1)).padStart(6, "0")),
      priority,
      record: "p1@there",
      replaces: false,
    }));
    await ask(joinOperation, {
      names,
      keys: ["k"],
      limits: [1],
      newcomers,
      process: "there",
      live: false,
    });
  }
  let ids = 0;

  async function apply(each: Change, token: number): Promise<void> {
    const client = redisClient(servers.urls[0] ?? "");
    const [waiters, records] = [names.waiters("k"), names.waiter("k")];
    switch (each.kind) {
      case "join":
        return await joinAll(each.queueId, each.count, each.at, each.priority);
      case "pause":
        if ((await client.exists(waiters)) === 0) return;
        await client.hset(names.queues, each.queueId, `${Date.now() + 600_000}:10000`);
        return;
      case "trust":
        await client.hdel(names.queues, each.queueId);
        return;
      case "serve": {
        const expected = await firstWaiter(each.skipped);
        const reply = await ask(serveOperation, {
          ...serving(token),
          skipped: unresponsive(each.skipped),
        });
        expect(reply.status === "next" ? reply.waiters[0]?.position : undefined).toBe(expected);
        await client.del(names.reservation("k"));
        return;
      }
      default: {
        const rank = String(Math.floor(each.at * ((await client.zcard(waiters)) - 1)));
        const noted = (await client.hget(records, "<"))?.split("|")[1];
        const position = each.at < 0 ? noted : (await client.zrange(waiters, rank, rank))[0];
        if (position === undefined) return;
        if (each.kind === "leave") {
          const gone = [{ position, record: "1" }];
          await ask(serveOperation, { ...serving(token), gone });
          await client.del(names.reservation("k"));
        } else {
          const { priority } = each;
          const newcomers = [{ position, priority, record: "p1@there", replaces: false }];
          const joining = {
            names,
            keys: ["k"],
            limits: [1],
            newcomers,
            process: "there",
            live: false,
          };
          await ask(joinOperation, joining);
        }
      }
    }
  }

  /** The note names three queues; the one in the middle is then served. */
  const threeQueues: Change[] = [
    { kind: "join", queueId: "c", count: 150, at: 4, priority: 0 },
    { kind: "pause", queueId: "c" },
    { kind: "serve", skipped: [] },
    { kind: "join", queueId: "b", count: 150, at: 5, priority: 0 },
    { kind: "pause", queueId: "b" },
    { kind: "join", queueId: "d", count: 1, at: 7, priority: 0 },
    { kind: "serve", skipped: [] },
    { kind: "trust", queueId: "c" },
  ];

  it("reserves the key for the first waiter that is not skipped, after any change", async () => {
    const client = redisClient(servers.urls[0] ?? "");
    let resumed = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
        await client.flushall();
        await joinAll("a", 200, 3);
        await joinAll("b", 3, 6);
        const paused: Change[] = [
          { kind: "pause", queueId: "a" },
          { kind: "serve", skipped: [] },
        ];
        const last: Change = { kind: "serve", skipped: [] };
        for (const [index, each] of [...paused, ...changes, last].entries()) {
          if (each.kind === "serve" && (await client.hexists(names.waiter("k"), "<"))) resumed += 1;
          await apply(each, index + 1);
        }
      }),
      { numRuns: 150, examples: [[threeQueues]] },
    );
    expect(resumed).toBeGreaterThan(150);
  });

  it("is examined once, however often the key is handed over", async () => {
    const client = redisClient(servers.urls[0] ?? "");
    await client.flushall();
    for (let i = 0; i < 5; i++) await joinAll(`a${i}`, 1_000, 1);
    await joinAll("b", 3, 2);
    const skipped = unresponsive(Array.from({ length: 5 }, (_, index) => `a${index}`));
    /** How many commands the server has executed so far, including those of scripts. */
    const commandCalls = async (): Promise<number> => {
      const calls = (await client.info("commandstats")).matchAll(/calls=(\d+)/g);
      return Array.from(calls).reduce((sum, [, count]) => sum + Number(count), 0);
    };
    const lookups = async (): Promise<number> => {
      const before = await commandCalls();
      const reply = await ask(serveOperation, { ...serving(1), skipped });
      expect(reply.status === "next" && reply.waiters[0]?.position).toMatch(/:b:/);
      await client.del(names.reservation("k"));
      return (await commandCalls()) - before;
    };
    expect(await lookups()).toBeGreaterThan(50);
    expect(await lookups()).toBeLessThan(48);
  });
});
