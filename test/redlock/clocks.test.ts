import { describe, expect, it, onTestFinished } from "vitest";
import { type Clock, systemClock } from "../../src/clock.ts";
import { type Lock, LockUnavailableError, type Redlock } from "../../src/index.ts";
import { TokenSource } from "../../src/lock/tokens.ts";
import { connectRedlock, failureOf, makeRedlock } from "../hazards/support.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import { simulate } from "../support/simulated-redlock.ts";
import type { VirtualClock } from "../../src/testing/memory/virtual-clock.ts";

const MINUTE = 60_000;
const tokenOf = ({ fencingToken }: Lock): number => fencingToken;

/** The clock of a client on a machine with a wrong wall clock, until `ahead` is changed. */
function wrongClock(ahead: number): Clock & { ahead: number } {
  return {
    ahead,
    now: () => systemClock.now(),
    wall(): number {
      return systemClock.wall() + this.ahead;
    },
    timer: (ms, run) => systemClock.timer(ms, run),
    clearTimer: (timer) => systemClock.clearTimer(timer),
  };
}

describe("a client and masters with clocks more than a quarter of an hour apart", () => {
  const nodes = useRedisNodes(3);

  it.each([
    ["ahead", "behind", 16 * MINUTE],
    ["behind", "ahead of", -16 * MINUTE],
  ])("do not work together when it is the client that is %s", async (_, word, ahead) => {
    const redlock = makeRedlock(nodes.urls, {}, wrongClock(ahead));

    const error = await failureOf(redlock.acquire("k"));

    expect(error).toBeInstanceOf(LockUnavailableError);
    expect((error as LockUnavailableError).votes.map(({ cause }) => cause)).toEqual(
      nodes.urls.map(() =>
        expect.stringMatching(new RegExp(`its clock is 9(59|60) s ${word} ours, expected at most`)),
      ),
    );
    // No mark from a wrong clock stands in the way of the others.
    for (const client of redisClients(nodes)) expect(await client.dbsize()).toBe(0);
  });

  it("work together as soon as the clock has been set right", async () => {
    const clock = wrongClock(16 * MINUTE);
    const redlock = makeRedlock(nodes.urls, {}, clock);
    await failureOf(redlock.acquire("k"));

    clock.ahead = 14 * MINUTE;

    await expect.poll(async () => await redlock.tryAcquire("k").catch(() => null)).not.toBeNull();
  });

  it("work together below that, and tokens grow from a fast clock to a right one", async () => {
    const wrong = await connectRedlock(nodes.urls, {}, wrongClock(14 * MINUTE));
    const right = await connectRedlock(nodes.urls);
    const tokens: number[] = [];
    for (const client of [right, wrong, right, wrong, right]) {
      tokens.push(await client.using("k", tokenOf));
    }
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
    expect(new Set(tokens).size).toBe(tokens.length);
  });
});

describe("masters whose clocks are days apart from each other and from ours", () => {
  const OPTIONS = { ttl: 1_000, nodeTimeout: 50, clockSkewBudget: 500 };
  /** 1000 * 1.02 + 50 + 500 */
  const QUARANTINE = 1_570;
  const DAY = 24 * 60 * MINUTE;
  const OFFSETS = [-3 * DAY, 0, 5 * DAY];
  const BEGIN = 10 * DAY;

  function apart(clock: VirtualClock, node: number): Clock {
    return {
      now: () => BEGIN + clock.now() + (OFFSETS[node] ?? 0),
      wall: () => clock.wall(),
      timer: (ms, run) => clock.timer(ms, run),
      clearTimer: (timer) => clock.clearTimer(timer),
    };
  }

  it("give growing tokens, keep an extended lock, and free it after its ttl", async () => {
    const { clock, redlock, client } = simulate(3, OPTIONS, apart);
    const other = client();
    onTestFinished(async () => {
      await clock.until(Promise.all([redlock.close(), other.close()]));
    });
    const tokens: number[] = [];
    for (const each of [redlock, other, redlock, other]) {
      tokens.push(await clock.until(each.using("k", tokenOf)));
    }
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));

    const kept = await clock.until(redlock.acquire("k"));
    await clock.pass(20_000);
    expect(kept.held).toBe(true);
    expect(await clock.until(other.tryAcquire("k"))).toBeNull();
    await clock.until(kept.release());

    await clock.until(redlock.acquire("k", { heartbeat: false }));
    await clock.pass(900);
    expect(await clock.until(other.tryAcquire("k"))).toBeNull();
    await clock.pass(150);
    expect(await clock.until(other.tryAcquire("k"))).not.toBeNull();
  });

  it("make no second holder when they forget, and vote again after the quarantine", async () => {
    const { clock, nodes, redlock, client } = simulate(3, OPTIONS, apart);
    const second = async (by: Redlock): Promise<boolean> =>
      await clock.until(
        by.acquire("k").then(
          () => true,
          () => false,
        ),
      );
    nodes[2]!.behaviour.refused = true;
    const first = await clock.until(redlock.acquire("k", { heartbeat: false }));
    nodes[0]!.restart({ empty: true });
    nodes[2]!.behaviour.refused = false;
    nodes[1]!.behaviour.refused = true;
    const other = client();
    while (first.held) {
      expect(await second(other)).toBe(false);
      await clock.pass(50);
    }
    await clock.pass(QUARANTINE);
    expect(await second(other)).toBe(true);
  });

  it("keep tokens in order over the loss of all marks, once the quarantine is over", async () => {
    const { clock, nodes, redlock, client } = simulate(3, OPTIONS, apart);
    const before = await clock.until(redlock.using("k", tokenOf));
    for (const node of nodes) node.restart({ empty: true });
    const other = client();
    await clock.until(failureOf(other.acquire("k")));
    await clock.pass(QUARANTINE + 200);
    const after = await clock.until(other.using("k", tokenOf));
    expect(after).toBeGreaterThan(before);
  });
});

describe("a wall clock that shows no time, or one that no token can have", () => {
  it.each([
    ["no number", Number.NaN],
    ["the year 2999", Date.UTC(2999, 0, 1)],
  ])("costs no more than a growing token: %s", (_, shown) => {
    let wall = Date.UTC(2026, 10, 28);
    const tokens = new TokenSource({ wall: () => wall } as Clock);
    const before = tokens.next();
    wall = shown;
    expect([tokens.next(), tokens.next()]).toEqual([before + 2, before + 4]);
    wall = Date.UTC(2026, 10, 29);
    expect(tokens.next()).toBe(wall * 1_000);
  });
});
