import { RedlockHandle } from "../../src/handle/handle.ts";
import { describe, expect, test } from "vitest";
import { LockConflictError, LockLostError, LockUnavailableError } from "../../src/index.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import {
  connectRedlock,
  failureOf,
  letPass,
  timed,
  TTL,
  untilAborted,
  untilFreeEverywhere,
  valuesOf,
} from "./support.ts";

const nodes = useRedisNodes(3);

describe("a re-entrant handle (P2)", () => {
  test("gives the key back on every node when its block ends", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 10_000 });
    const clients = redisClients(nodes);

    await new RedlockHandle(redlock, "account", { reentrant: true }).using(async (lock) => {
      expect(lock.held).toBe(true);
      await new RedlockHandle(redlock, "account", { reentrant: true }).using((inner) => {
        expect(inner).toBe(lock);
      });
      expect(await valuesOf(clients, "account")).toContainEqual(expect.any(String));
      expect(lock.held).toBe(true);
    });

    await untilFreeEverywhere(clients, "account");
  });

  test("gives it back with `await using` too, and when the block throws", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 10_000 });
    const own = new Error("the block's own");

    const error = await failureOf(
      (async () => {
        await using handle = new RedlockHandle(redlock, "account", { reentrant: true });
        expect(await handle.acquire()).toBe(true);
        expect(await handle.acquire()).toBe(true);
        await handle.release();
        throw own;
      })(),
    );

    expect(error).toBe(own);
    await untilFreeEverywhere(redisClients(nodes), "account");
  });

  test("keeps strangers out, whoever is inside", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const stranger = new RedlockHandle(redlock, "account", { reentrant: true, retryTimes: 1 });
    let ask: (() => void) | undefined;
    const asked = new Promise<void>((resolve) => (ask = resolve));
    // Started outside the block, so it is no part of it.
    const answer = asked.then(() => stranger.acquire());

    await new RedlockHandle(redlock, "account", { reentrant: true }).using(async () => {
      ask?.();
      expect(await answer).toBe(false);
    });
  });

  test("does not let anybody in again after the lock was lost", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const handle = new RedlockHandle(redlock, "account", { reentrant: true, heartbeat: false });
    await handle.acquire();
    await untilAborted(handle.lock!);

    expect(await failureOf(handle.acquire())).toBeInstanceOf(LockLostError);
  });
});

describe("the tries of a handle (P5)", () => {
  test("end with the last one: nobody sleeps after it", async () => {
    const redlock = await connectRedlock(nodes.urls);
    await redlock.acquire("account");
    const handle = new RedlockHandle(redlock, "account", { retryTimes: 1, retryDelay: 3_600_000 });

    const { value, ms } = await timed(() => handle.acquire());

    expect(value).toBe(false);
    expect(ms).toBeLessThan(1_500);
  });

  test("tell a held key from too few nodes", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const handle = new RedlockHandle(redlock, "account", { retryTimes: 2, retryDelay: 20 });
    await redlock.acquire("account");
    expect(await handle.acquire()).toBe(false);
    expect(await failureOf(handle.using(() => undefined))).toBeInstanceOf(LockConflictError);
    nodes.pause(0);
    nodes.pause(1);

    expect(await failureOf(handle.acquire())).toBeInstanceOf(LockUnavailableError);
    expect(await failureOf(handle.locked())).toBeInstanceOf(LockUnavailableError);
  });

  test("lead to a lock that is extended while it is held", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 500 });
    const handle = new RedlockHandle(redlock, "account");
    const { acquired, validity } = await handle.acquireWithValidity();
    await letPass(1_100);

    expect(acquired).toBe(true);
    expect(validity).toBeGreaterThan(0);
    expect(validity).toBeLessThan(500);
    expect(handle.lock?.held).toBe(true);
    expect(await handle.release()).toBe(true);
    await untilFreeEverywhere(redisClients(nodes), "account");
  });

  test("leave nothing behind when they fail", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: TTL * 10 });
    const clients = redisClients(nodes);
    await clients[1]!.set("redlock:account", "one");
    await clients[2]!.set("redlock:account", "two");
    const handle = new RedlockHandle(redlock, "account", { retryTimes: 2, retryDelay: 20 });

    expect(await handle.acquire()).toBe(false);
    expect(await handle.release()).toBe(false);

    await untilFreeEverywhere([clients[0]!], "account");
  });
});

describe("a handle that is not re-entrant", () => {
  test("excludes itself, and its second try does not end the first hold", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const handle = new RedlockHandle(redlock, "account", { retryTimes: 2, retryDelay: 10 });
    expect(await handle.acquire()).toBe(true);

    expect(await handle.acquire()).toBe(false);

    expect(handle.lock?.held).toBe(true);
    expect(await handle.release()).toBe(true);
    expect(await handle.release()).toBe(false);
    expect(await handle.acquire()).toBe(true);
  });
});
