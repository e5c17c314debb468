import { describe, expect, test } from "vitest";
import { LockConflictError, LockKeyError, LockLostError } from "../../src/index.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import {
  connectRedlock,
  failureOf,
  untilAborted,
  untilFreeEverywhere,
  untilHeldEverywhere,
  valuesOf,
} from "./support.ts";

const nodes = useRedisNodes(3);
const KEY = "redlock:account";
const HASH = { balance: "12", currency: "EUR" };

describe("something that is no lock under our key", () => {
  test("on all nodes is a fault of the key, not a conflict, and stays as it was", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const clients = redisClients(nodes);
    for (const client of clients) await client.hset(KEY, HASH);

    const error = await failureOf(redlock.acquire("account"));

    expect(error).toBeInstanceOf(LockKeyError);
    expect((error as Error).message).toMatch(/another type under redlock:account, or .*WRONGTYPE/);
    for (const client of clients) expect(await client.hgetall(KEY)).toEqual(HASH);
    const { nodes: seen } = await redlock.inspect("account");
    expect(seen.map(({ state, cause }) => [state, cause])).toEqual([
      ["foreign", "a hash"],
      ["foreign", "a hash"],
      ["foreign", "a hash"],
    ]);
  });

  test("on one node costs that node's vote and nothing else", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const [, client] = redisClients(nodes);
    await client!.hset(KEY, HASH);

    const lock = await redlock.acquire("account");
    await lock.extend();

    expect(await lock.release()).toBe("released");
    expect(await client!.hgetall(KEY)).toEqual(HASH);
    expect(await client!.pttl(KEY)).toBe(-1);
  });

  test("fails alone: the other keys of the same moment are granted", async () => {
    const redlock = await connectRedlock(nodes.urls);
    for (const client of redisClients(nodes)) await client.hset(KEY, HASH);

    const [bad, ...good] = await Promise.allSettled([
      redlock.acquire("account"),
      redlock.acquire("first"),
      redlock.acquire("second"),
    ]);

    expect(bad).toMatchObject({ status: "rejected", reason: expect.any(LockKeyError) });
    for (const outcome of good) expect(outcome.status).toBe("fulfilled");
  });

  test("among several keys leaves none of the others locked", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const clients = redisClients(nodes);
    const warned: unknown[] = [];
    redlock.on("warning", (warning) => warned.push(warning));
    for (const client of clients) await client.hset(KEY, HASH);

    expect(await failureOf(redlock.acquire(["account", "zebra", "aardvark"]))).toBeInstanceOf(
      LockKeyError,
    );

    await untilFreeEverywhere(clients, "zebra");
    await untilFreeEverywhere(clients, "aardvark");
    expect(warned).toEqual([]);
  });

  test("that appears while we hold the key is not destroyed by extend and release", async () => {
    const redlock = await connectRedlock(nodes.urls, { heartbeat: false });
    const clients = redisClients(nodes);
    const lock = await redlock.acquire("account");
    for (const client of clients) {
      await client.del(KEY);
      await client.hset(KEY, HASH);
    }

    expect(await failureOf(lock.extend())).toBeInstanceOf(Error);
    expect(await lock.release()).toBe("expired");

    for (const client of clients) {
      expect(await client.hgetall(KEY)).toEqual(HASH);
      expect(await client.pttl(KEY)).toBe(-1);
    }
  });
});

describe("a value that another program wrote", () => {
  for (const value of ["a9c4e1", "12:34:56:78", "17:owner", "\u0000\u0001binary", "q:x:", " "]) {
    test(`such as ${JSON.stringify(value)} is a lock of its own, never changed`, async () => {
      const redlock = await connectRedlock(nodes.urls);
      const clients = redisClients(nodes);
      for (const client of clients) await client.set(KEY, value);

      const error = await failureOf(redlock.acquire("account"));

      expect(error).toBeInstanceOf(LockConflictError);
      expect(await redlock.isLocked("account")).toBe(true);
      expect(await valuesOf(clients, "account")).toEqual([value, value, value]);
      for (const client of clients) expect(await client.pttl(KEY)).toBe(-1);
    });
  }

  test("over our lock is left by extend and release, and the loss is noticed", async () => {
    const redlock = await connectRedlock(nodes.urls, { heartbeat: false });
    const clients = redisClients(nodes);
    const lock = await redlock.acquire("account");
    for (const client of clients) await client.set(KEY, "taken over", "PX", 60_000);

    expect(await failureOf(lock.extend())).toBeInstanceOf(LockLostError);
    expect(await untilAborted(lock)).toMatchObject({ reason: "taken" });
    expect(await lock.release()).toBe("expired");

    expect(await valuesOf(clients, "account")).toEqual(["taken over", "taken over", "taken over"]);
    for (const client of clients) expect(await client.pttl(KEY)).toBeGreaterThan(50_000);
  });

  test("that copies our token and text but not our owner is not ours", async () => {
    const redlock = await connectRedlock(nodes.urls, { heartbeat: false });
    const clients = redisClients(nodes);
    const lock = await redlock.acquire("account", { holder: "us" });
    const copy = `${lock.fencingToken}:somebody-else:us`;
    for (const client of clients) await client.set(KEY, copy);

    expect(await lock.release()).toBe("expired");

    expect(await valuesOf(clients, "account")).toEqual([copy, copy, copy]);
  });

  test("in place of our fence does not keep the key from being locked and freed", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const clients = redisClients(nodes);
    for (const client of clients) await client.set("redlock:@fence:account", "not a mark");

    const lock = await redlock.acquire("account");

    expect(await lock.release()).toBe("released");
    await untilFreeEverywhere(clients, "account");
  });

  test("holds by the published algorithm, and is held off by it", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const clients = redisClients(nodes);
    const take = (): Promise<(string | null)[]> =>
      Promise.all(clients.map((client) => client.set(KEY, "peer", "PX", 60_000, "NX")));

    const ours = await redlock.acquire("account");
    await untilHeldEverywhere(clients, ours);
    expect(await take()).toEqual([null, null, null]);
    await ours.release();
    await expect.poll(() => valuesOf(clients, "account")).toEqual([null, null, null]);

    expect(await take()).toEqual(["OK", "OK", "OK"]);
    expect(await redlock.tryAcquire("account")).toBeNull();
  });
});
