import { afterEach, describe, expect, it, vi } from "vitest";
import { LockKeyError, LockUnavailableError } from "../../src/errors.ts";
import { readOperation } from "../../src/lock/read-operation.ts";
import type { KeyInspection } from "../../src/redlock/inspect.ts";
import type { ListedKey } from "../../src/redlock/list.ts";
import { Redlock } from "../../src/redlock/redlock.ts";
import { redisClient, redisClients, useRedisNodes } from "../support/redis.ts";

const servers = useRedisNodes(3);

afterEach(() => void vi.restoreAllMocks());

async function withRedlock(
  use: (redlock: Redlock) => Promise<void>,
  prefix = "redlock:",
): Promise<void> {
  const options = { ...servers.redlockOptions, prefix, nodeTimeout: 250 };
  const redlock = new Redlock(options);
  try {
    await use(redlock);
  } finally {
    await redlock.close();
  }
}

async function collect(listed: AsyncIterable<KeyInspection>): Promise<KeyInspection[]> {
  const all: KeyInspection[] = [];
  for await (const inspection of listed) all.push(inspection);
  return all.sort((a, b) => a.key.localeCompare(b.key));
}

describe("list", () => {
  it("goes through all held keys once, with their holders, and through nothing else", async () => {
    await withRedlock(async (redlock) => {
      const keys = Array.from({ length: 1_200 }, (_, i) => `account:${i}`);
      await Promise.all(keys.map((key) => redlock.acquire(key, { holder: `job of ${key}` })));
      await redlock.acquire("order:1");
      await redisClient(servers.urls[0]!).set("redlock:minority", "1:x:", "PX", 60_000);
      const listed = await collect(redlock.list("account:*"));
      expect(new Set(listed.map(({ key }) => key))).toEqual(new Set(keys));
      expect(listed).toHaveLength(keys.length);
      expect(listed[0]?.holder?.text).toBe(`job of ${listed[0]?.key}`);
      const all = (await collect(redlock.list())).map(({ key }) => key);
      expect(all).toContain("order:1");
      expect(all).not.toContain("minority");
      expect(all.filter((key) => key.startsWith("@"))).toEqual([]);
    });
  });

  it("lists the keys with waiters and without a holder, whatever is held beside", async () => {
    await withRedlock(async (redlock) => {
      const keys = Array.from({ length: 600 }, (_, i) => `idle:${i}`);
      const position = "1000000000001:bull:q:0001:7";
      // One master has not heard of them.
      for (const client of redisClients(servers).slice(1)) {
        const batch = client.pipeline();
        for (const key of keys) batch.zadd(`redlock:@waiters:${key}`, 0, position);
        await batch.exec();
      }
      await redlock.acquire("idle:5");
      await redlock.acquire("other");
      const listed = await collect(redlock.list("idle:*"));
      expect(listed.map(({ key }) => key)).toEqual(keys.toSorted((a, b) => a.localeCompare(b)));
      expect(listed.filter(({ locked }) => locked).map(({ key }) => key)).toEqual(["idle:5"]);
      expect(new Set(listed.map(({ waiting }) => waiting))).toEqual(new Set([1]));
      expect((await collect(redlock.list("idle:59?"))).map(({ key }) => key)).toHaveLength(10);
    });
  });

  it("finds keys behind a prefix that looks like a pattern, and no others", async () => {
    await withRedlock(async (other) => {
      await other.acquire("k1");
      await withRedlock(async (redlock) => {
        await redlock.acquire("k2");
        await Promise.all(
          redisClients(servers).map((client) => client.zadd("[a-z]*?\\:@waiters:k3", 0, "1:q:1:1")),
        );
        expect((await collect(redlock.list())).map(({ key }) => key)).toEqual(["k2", "k3"]);
      }, "[a-z]*?\\:");
    }, "lock:");
  });

  it("goes on with a master down, and says so when too few answer", async () => {
    await withRedlock(async (redlock) => {
      await redlock.acquire("k");
      await servers.kill(0);
      expect((await collect(redlock.list())).map(({ key }) => key)).toEqual(["k"]);
      await servers.kill(1);
      await expect(collect(redlock.list())).rejects.toThrow(LockUnavailableError);
    });
  });

  it("asks about no more than 100 keys for the first page of many", async () => {
    await withRedlock(async (redlock) => {
      const keys = Array.from({ length: 1_000 }, (_, i) => `many:${i}`);
      await Promise.all(keys.map((key) => redlock.acquire(key)));
      for (const client of redisClients(servers))
        await client.zadd("redlock:@waiters:many:7", 0, "1000000000001:bull:q:0001:7");
      const read = vi.spyOn(readOperation, "keys");
      let shown = 0;
      for await (const _ of redlock.list()) if (++shown === 100) break;
      expect(new Set(read.mock.calls.map(([{ key }]) => key)).size).toBe(100);
    });
  });

  it("refuses what is no pattern", async () => {
    await withRedlock(async (redlock) => {
      await expect(collect(redlock.list(""))).rejects.toThrow(LockKeyError);
      await expect(collect(redlock.list(5 as never))).rejects.toThrow(/^pattern: found 5/);
    });
  });
});

describe("keys", () => {
  it("names each key once, with its waiters, and asks about no key", async () => {
    await withRedlock(async (redlock) => {
      const keys = Array.from({ length: 600 }, (_, i) => `account:${i}`);
      await Promise.all(keys.map((key) => redlock.acquire(key)));
      for (const client of redisClients(servers)) {
        for (const id of [1, 2, 3]) {
          await client.zadd("redlock:@waiters:account:7", id, `${id}:bull:q:0001:${id}`);
          await client.zadd("redlock:@waiters:free:1", id, `${id}:bull:q:0001:${id}`);
        }
        await client.set("redlock:@waiters:strange", "no wait list");
      }
      const read = vi.spyOn(readOperation, "keys");
      const listed = new Map<string, number>();
      for await (const { key, waiting } of redlock.keys()) {
        expect(listed.has(key), key).toBe(false);
        listed.set(key, waiting);
      }
      expect(read).not.toHaveBeenCalled();
      const waitedFor = [...listed].filter(([, waiting]) => waiting > 0);
      expect(new Map(waitedFor)).toEqual(
        new Map([
          ["account:7", 3],
          ["free:1", 3],
        ]),
      );
      for (const key of keys) expect(listed.has(key), key).toBe(true);
      const some: string[] = [];
      for await (const { key } of redlock.keys("account:59?")) some.push(key);
      expect(some).toHaveLength(10);
    });
  });

  it("goes on with a master down, and says so when too few answer", async () => {
    await withRedlock(async (redlock) => {
      await redlock.acquire("k");
      await servers.kill(0);
      const walk = async () => {
        const found: ListedKey[] = [];
        for await (const each of redlock.keys()) found.push(each);
        return found;
      };
      expect(await walk()).toEqual([{ key: "k", waiting: 0 }]);
      await servers.kill(1);
      await expect(walk()).rejects.toThrow(LockUnavailableError);
    });
  });
});

it("tells those who ask that it was closed, not that masters are unavailable", async () => {
  for (const index of [0, 1, 2]) servers.pause(index);
  const redlock = new Redlock(servers.redlockOptions);
  const by = "an operator";
  const asked = [
    redlock.inspect("k"),
    redlock.isLocked("k"),
    redlock.wake("k"),
    redlock.cancel("k", by),
    redlock.forceRelease("k", { reason: by }),
    redlock.list().next(),
    redlock.keys().next(),
    redlock.waiters("k").next(),
  ];
  const outcomes = Promise.allSettled(asked);
  await redlock.close();

  const closed = { reason: { code: "ERR_REDLOCK_CLOSED" } };
  expect(await outcomes).toMatchObject(asked.map(() => closed));
});
