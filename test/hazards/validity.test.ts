import { describe, expect, test } from "vitest";
import { SuspendAwareClock } from "../../src/clock.ts";
import {
  LockConflictError,
  LockLostError,
  LockUnavailableError,
  type Lock,
} from "../../src/index.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import {
  connectRedlock,
  failureOf,
  letPass,
  makeProxies,
  NODE_TIMEOUT,
  TTL,
  untilAborted,
  untilFreeEverywhere,
  untilHeldEverywhere,
  valuesOf,
} from "./support.ts";

const nodes = useRedisNodes(3);

/** A clock whose wall clock can be set, and whose machine can be suspended. */
class AdjustableClock extends SuspendAwareClock {
  readonly #steps: { wall: number };

  constructor() {
    const steps = { wall: 0 };
    super(
      () => performance.now(),
      () => Date.now() + steps.wall,
    );
    this.#steps = steps;
  }

  /** The wall clock is set by `ms`. A suspended machine looks the same: only the wall clock has gone on. */
  stepWall(ms: number): void {
    this.#steps.wall += ms;
  }
}

/** Keeps this process busy: no timer fires, no answer is read. */
function blockEventLoop(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

describe("the lifetime of a lock that was waited for (R1)", () => {
  test("counts from its own grant, however long the wait was", async () => {
    const [first, second] = await Promise.all([
      connectRedlock(nodes.urls),
      connectRedlock(nodes.urls),
    ]);
    await first.acquire("waited-for", { heartbeat: false });

    const startedAt = performance.now();
    const lock = await second.acquire("waited-for", { waitTimeout: 10_000 });

    // The first lock had to end by its ttl: the wait alone was about as long as the second lock lives.
    expect(performance.now() - startedAt).toBeGreaterThan(TTL * 0.8);
    expect(lock.held).toBe(true);
    // A quarter of the ttl is the least that is granted at all.
    expect(lock.remaining()).toBeGreaterThanOrEqual(TTL / 4 - 50);
    await lock.extend();
    expect(lock.signal.aborted).toBe(false);
  });
});

describe("votes that come too late for the ttl (R2, S1)", () => {
  test("grants nothing when a quorum answers only after the node timeout", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(proxies.map(({ url }) => url));
    for (const proxy of proxies.slice(1)) proxy.replies.pass(NODE_TIMEOUT * 2);

    const error = await failureOf(redlock.acquire("late votes"));

    expect(error).toBeInstanceOf(LockUnavailableError);
    await untilFreeEverywhere(redisClients(nodes), "late votes");
  });

  test("lets one client in when the nodes of another were stalled and come back", async () => {
    const [stalled, lucky] = await Promise.all([
      connectRedlock(nodes.urls),
      connectRedlock(nodes.urls),
    ]);
    nodes.pause(1);
    nodes.pause(2);
    const stalledOutcome = failureOf(stalled.acquire("stall"));
    expect(await stalledOutcome).toBeInstanceOf(LockUnavailableError);
    nodes.resume(1);
    nodes.resume(2);

    // The stalled requests are executed now, and so is their rollback.
    const lock = await lucky.acquire("stall", { waitTimeout: 5_000 });

    expect(lock.held).toBe(true);
    expect(await stalled.tryAcquire("stall")).toBeNull();
  });

  test("promises from a slow grant no more than what is left since the sending", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(
      proxies.map(({ url }) => url),
      { ttl: 1_500, nodeTimeout: 600 },
    );
    for (const proxy of proxies) proxy.replies.pass(400);

    const startedAt = performance.now();
    const lock = await redlock.acquire("slow");

    expect(lock.remaining()).toBeLessThanOrEqual(1_500 - 400);
    const stored = await Promise.all(
      redisClients(nodes).map((client) => client.pttl("redlock:slow")),
    );
    // What the nodes keep outlasts what the lock promises, at every node.
    const promisedUntil = performance.now() + lock.remaining();
    for (const ttl of stored) expect(performance.now() + ttl).toBeGreaterThan(promisedUntil);
    expect(performance.now() - startedAt).toBeGreaterThan(390);
  });
});

describe("the wall clock and suspended machines (R10)", () => {
  test("loses the lock in time although the wall clock was set back ten seconds", async () => {
    const clock = new AdjustableClock();
    const redlock = await connectRedlock(nodes.urls, {}, clock);
    const rival = await connectRedlock(nodes.urls);
    const lock = await redlock.acquire("step back");
    clock.stepWall(-10_000);
    await lock.extend();
    for (const index of [0, 1, 2]) nodes.pause(index);

    const aborted = untilAborted(lock);
    const endOfPromise = clock.now() + lock.remaining();
    expect(lock.remaining()).toBeLessThanOrEqual(TTL);
    expect(await aborted).toBeInstanceOf(LockLostError);
    // Not ten seconds later. The bound is generous, because other tests share the machine.
    expect(clock.now() - endOfPromise).toBeLessThan(1_000);

    for (const index of [0, 1, 2]) nodes.resume(index);
    await lock.release();
    const next = await rival.acquire("step back", { waitTimeout: 5_000 });
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
  });

  test("keeps extending, and orders its tokens, while the wall clock goes back", async () => {
    const clock = new AdjustableClock();
    const redlock = await connectRedlock(nodes.urls, {}, clock);
    const before = await redlock.acquire("tokens");
    await before.release();
    clock.stepWall(-60_000);

    const after = await redlock.acquire("tokens");
    await letPass(TTL * 1.2);

    expect(after.fencingToken).toBeGreaterThan(before.fencingToken);
    expect(after.held).toBe(true);
  });

  test("gets a token above that of a holder whose clock was ahead", async () => {
    const ahead = new AdjustableClock();
    ahead.stepWall(60_000);
    const [fast, slow] = await Promise.all([
      connectRedlock(nodes.urls, {}, ahead),
      connectRedlock(nodes.urls),
    ]);
    const first = await fast.acquire("ahead");
    await first.release();

    const second = await slow.acquire("ahead");

    expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
  });

  test("does not hold any more when the machine slept past the end of the lock", async () => {
    const clock = new AdjustableClock();
    const redlock = await connectRedlock(nodes.urls, {}, clock);
    const lock = await redlock.acquire("suspended");
    expect(lock.held).toBe(true);

    clock.stepWall(60_000);

    expect(lock.held).toBe(false);
    expect(() => lock.assertHeld()).toThrow(LockLostError);
    expect(lock.signal.aborted).toBe(true);
    expect(await failureOf(lock.extend())).toBeInstanceOf(LockLostError);
  });

  test("aborts by itself after a suspension, nobody asking", async () => {
    const clock = new AdjustableClock();
    const redlock = await connectRedlock(nodes.urls, {}, clock);
    const lock = await redlock.acquire("suspended and idle");

    clock.stepWall(60_000);

    expect(await untilAborted(lock)).toMatchObject({ code: "ERR_REDLOCK_LOST", reason: "blocked" });
  });
});

describe("an event loop that was blocked for longer than the ttl", () => {
  test("is told at once that the lock is gone, and renews nothing", async () => {
    const [redlock, rival] = await Promise.all([
      connectRedlock(nodes.urls, { ttl: 500 }),
      connectRedlock(nodes.urls),
    ]);
    const lock = await redlock.acquire("blocked");

    blockEventLoop(650);

    expect(lock.held).toBe(false);
    expect(lock.remaining()).toBe(0);
    expect(() => lock.assertHeld()).toThrow(LockLostError);
    expect(lock.signal.aborted).toBe(true);
    const next = await rival.acquire("blocked");
    expect(next.held).toBe(true);
    expect(await failureOf(lock.extend())).toBeInstanceOf(LockLostError);
    expect(next.held).toBe(true);
  });

  test("aborts the signal as soon as timers run again, nobody asking", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 500 });
    const lock = await redlock.acquire("blocked and idle");

    blockEventLoop(650);
    await new Promise((resolve) => setTimeout(resolve, 0));
    await new Promise((resolve) => setTimeout(resolve, 0));

    expect(lock.signal.aborted).toBe(true);
  });

  for (const nodeTimeout of [NODE_TIMEOUT, 600]) {
    test(`does not revive a lock whose extend was read too late (${nodeTimeout} ms)`, async () => {
      const redlock = await connectRedlock(nodes.urls, { nodeTimeout });
      const lock = await redlock.acquire("read too late", { heartbeat: false });
      await letPass(TTL / 2);
      const extending = failureOf(lock.extend());
      // The request is written at the end of this tick; the answer lies in the socket while we are busy. The lock
      // ends meanwhile, the time that the nodes have added does not.
      await Promise.resolve();
      await new Promise((resolve) => process.nextTick(resolve));
      blockEventLoop(TTL * 0.6);

      expect(await extending).toBeInstanceOf(LockLostError);
      expect(lock.held).toBe(false);
      await lock.release();
      await untilFreeEverywhere(redisClients(nodes), "read too late");
    });
  }

  test("is granted nothing that is nearly over", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 500 });
    const acquiring = redlock.acquire("busy at the grant");
    await Promise.resolve();
    await new Promise((resolve) => process.nextTick(resolve));
    blockEventLoop(460);

    const outcome: unknown = await acquiring.catch((error: unknown) => error);

    // It was tried again, so it is a full lock, or it is none at all.
    if (outcome instanceof Error) {
      expect(outcome).toBeInstanceOf(LockUnavailableError);
      await untilFreeEverywhere(redisClients(nodes), "busy at the grant");
    } else {
      expect((outcome as Lock).remaining()).toBeGreaterThan(100);
    }
  });
});

describe("a holder whose lock has expired", () => {
  test("changes nothing for the next holder by extend and release", async () => {
    const [old, fresh] = await Promise.all([
      connectRedlock(nodes.urls),
      connectRedlock(nodes.urls),
    ]);
    const expired = await old.acquire("account", { heartbeat: false });
    await untilAborted(expired);
    const next = await fresh.acquire("account", { waitTimeout: 5_000 });
    const stored = await untilHeldEverywhere(redisClients(nodes), next);

    expect(await failureOf(expired.extend())).toBeInstanceOf(LockLostError);
    expect(await expired.release()).toBe("expired");

    expect(await valuesOf(redisClients(nodes), "account")).toEqual(stored);
    await next.extend();
    expect(next.held).toBe(true);
    expect(await failureOf(old.acquire("account"))).toBeInstanceOf(LockConflictError);
    expect(await next.release()).toBe("released");
  });
});
