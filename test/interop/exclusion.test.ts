import { RedlockHandle } from "../../src/handle/handle.ts";
import PackagedRedlock from "redlock";
import { describe, expect, test } from "vitest";
import { LockConflictError } from "../../src/index.ts";
import { failureOf, letPass, untilHeldEverywhere, valuesOf } from "../hazards/support.ts";
import { redisClient, redisClients, useRedisNodes } from "../support/redis.ts";
import { PEERS } from "./peer.ts";
import { connectOurs, expectUntouched, STORED } from "./support.ts";

const nodes = useRedisNodes(3);

describe.each(Object.entries(PEERS))("%s", (_, makePeer) => {
  test("gets nothing that we hold, and can neither extend nor release it", async () => {
    const redlock = await connectOurs(nodes, { heartbeat: false, ttl: 5_000 });
    const clients = redisClients(nodes);
    const peer = makePeer(clients);
    const lock = await redlock.acquire("account", { holder: "us" });
    const [stored] = await untilHeldEverywhere(clients, lock);
    const [, owner = ""] = stored!.split(":");

    await expectUntouched(clients, async () => {
      expect(await peer.tryLock([STORED], 60_000)).toBeUndefined();
      for (const value of ["theirs", "", "us", owner, String(lock.fencingToken)]) {
        const forged = peer.lockOf([STORED], value);
        expect(await forged.extend(60_000)).toBe(false);
        expect(await forged.release()).toBe(false);
      }
    });

    await lock.extend();
    expect(await lock.release()).toBe("released");
    await expect.poll(() => valuesOf(clients, "account")).toEqual([null, null, null]);
    expect(await peer.tryLock([STORED], 1_000)).toBeDefined();
  });

  test("excludes us, and nothing we do changes its lock", async () => {
    const redlock = await connectOurs(nodes);
    const leaving = await connectOurs(nodes);
    const clients = redisClients(nodes);
    const peer = makePeer(clients);
    const theirs = await peer.tryLock([STORED], 60_000);

    await expectUntouched(clients, async () => {
      const error = await failureOf(redlock.acquire("account"));
      expect(error).toBeInstanceOf(LockConflictError);
      expect(error).toMatchObject({
        key: "account",
        holder: { text: undefined, fencingToken: undefined, since: undefined },
        message: expect.stringContaining("is held by another program"),
      });
      expect((error as LockConflictError).retryAfter).toBeGreaterThan(50_000);
      expect((error as LockConflictError).retryAfter).toBeLessThanOrEqual(60_000);

      const waiting = leaving.acquire("account", { waitTimeout: 10_000 });
      const stop = new AbortController();
      const stopped = redlock.acquire("account", { waitTimeout: 10_000, signal: stop.signal });
      expect(await redlock.tryAcquire("account", { waitTimeout: 150 })).toBeNull();
      expect(await new RedlockHandle(redlock, "account", { retryDelay: 5 }).acquire()).toBe(false);
      stop.abort(new Error("no longer"));
      await Promise.all([
        expect(stopped).rejects.toThrow("no longer"),
        expect(waiting).rejects.toThrow("closed"),
        leaving.close(),
      ]);

      expect(await redlock.isLocked("account")).toBe(true);
      expect(await redlock.inspect("account")).toMatchObject({
        locked: true,
        holder: { text: undefined, fencingToken: undefined, since: undefined },
        nodes: nodes.urls.map(() => ({
          state: "held",
          holder: { text: undefined, fencingToken: undefined, since: undefined },
        })),
      });
    });

    if (peer.canExtend) expect(await theirs?.extend(90_000)).toBe(true);
    expect(await theirs?.release()).toBe(true);
    expect(await (await redlock.acquire("account")).release()).toBe("released");
  });

  test("hands over to our waiter by a release, which sends no message", async () => {
    const redlock = await connectOurs(nodes);
    const clients = redisClients(nodes);
    const messages: string[] = [];
    const subscriber = redisClient(nodes.urls[0]!);
    subscriber.on("pmessage", (_pattern, channel: string) => messages.push(channel));
    await subscriber.psubscribe("*");
    const observer = redisClient(nodes.urls[0]!);
    const theirs = await makePeer(clients).tryLock([STORED], 60_000);
    const waiting = redlock.acquire("account", { waitTimeout: 10_000 });
    // A conflict, so that the wait has begun.
    await new Promise((resolve) => redlock.on("conflict", resolve));

    await theirs?.release();
    const ours = await waiting;

    expect(messages).toEqual([]);
    const other = await connectOurs(nodes);
    const next = other.acquire("account", { waitTimeout: 10_000 });
    await expect.poll(async () => await observer.exists("redlock:@waiters:account")).toBe(1);
    await ours.release();
    await next;
    await expect.poll(() => messages).toEqual([expect.stringMatching(/^redlock:@wake:/)]);
  });

  test("gives way when its lock has expired", async () => {
    const redlock = await connectOurs(nodes);
    await makePeer(redisClients(nodes)).tryLock([STORED], 300);

    const lock = await redlock.acquire("account", { waitTimeout: 10_000 });

    expect(lock.held).toBe(true);
  });
});

test("all of them at once never break into a lock that our heartbeat extends", async () => {
  const redlock = await connectOurs(nodes, { heartbeat: 100 });
  const clients = redisClients(nodes);
  const peers = Object.values(PEERS).map((makePeer) => makePeer(clients));
  const lock = await redlock.acquire("account");
  const until = performance.now() + 1_200;

  while (performance.now() < until) {
    for (const peer of peers) expect(await peer.tryLock([STORED], 60_000)).toBeUndefined();
    await letPass(1);
  }

  lock.assertHeld();
  expect(await lock.release()).toBe("released");
});

test("a lock that the package extends by itself is never broken into by us", async () => {
  const redlock = await connectOurs(nodes);
  const settings = { automaticExtensionThreshold: 200 };
  const theirs = new PackagedRedlock(redisClients(nodes), settings);

  await theirs.using([STORED], 400, async (signal) => {
    const until = performance.now() + 1_000;
    while (performance.now() < until) {
      expect(await redlock.tryAcquire("account")).toBeNull();
      await letPass(5);
    }
    expect(signal.aborted).toBe(false);
  });

  expect(await redlock.tryAcquire("account", { waitTimeout: 5_000 })).not.toBeNull();
});

describe("names", () => {
  test("are ours behind the prefix, and theirs as they are with an empty one", async () => {
    const redlock = await connectOurs(nodes, { prefix: "" });
    const clients = redisClients(nodes);
    const peer = PEERS["redsync"]!(clients);
    const ours = await redlock.acquire("account");

    expect(await peer.tryLock(["account"], 5_000)).toBeUndefined();
    await ours.release();
    await expect.poll(() => valuesOf(clients, "account", "")).toEqual([null, null, null]);
    expect(await peer.tryLock(["account"], 5_000)).toBeDefined();
    expect(await redlock.tryAcquire("account")).toBeNull();
  });

  test("that differ by the prefix do not exclude each other", async () => {
    const redlock = await connectOurs(nodes);
    const peer = PEERS["redsync"]!(redisClients(nodes));

    expect(await peer.tryLock(["account"], 5_000)).toBeDefined();
    expect(await redlock.tryAcquire("account")).not.toBeNull();
  });
});

describe("several keys", () => {
  const both = ["node-redlock 4", "redlock@5.0.0-beta.2"];

  test.each(both)("held together by %s exclude us, and leave our other keys free", async (name) => {
    const redlock = await connectOurs(nodes);
    const clients = redisClients(nodes);
    const peer = PEERS[name]!(clients);
    const theirs = await peer.tryLock(["redlock:a", "redlock:b"], 5_000);

    for (const key of ["redlock:a", "redlock:b"]) {
      await expectUntouched(
        clients,
        async () => {
          expect(await failureOf(redlock.acquire(["c", "b", "0"]))).toMatchObject({ key: "b" });
          expect(await redlock.isLocked("c")).toBe(false);
          expect(await redlock.isLocked("0")).toBe(false);
        },
        key,
      );
    }
    expect(await redlock.tryAcquire("c")).not.toBeNull();
    expect(await theirs?.release()).toBe(true);
    expect(await redlock.tryAcquire(["a", "b"])).not.toBeNull();
  });

  test.each(both)("held together by us exclude %s, and leave its other keys free", async (name) => {
    const redlock = await connectOurs(nodes);
    const clients = redisClients(nodes);
    const peer = PEERS[name]!(clients);
    const ours = await redlock.acquire(["b", "c"]);

    expect(await peer.tryLock(["redlock:a", "redlock:b"], 5_000)).toBeUndefined();
    expect(await valuesOf(clients, "a")).toEqual([null, null, null]);
    expect(await peer.tryLock(["redlock:a", "redlock:d"], 5_000)).toBeDefined();
    ours.assertHeld();
    await ours.release();
    expect(await redlock.isLocked("a")).toBe(true);
    expect(await redlock.isLocked("b")).toBe(false);
  });
});

test("a free key that is reserved for our waiter is free to others", async () => {
  const redlock = await connectOurs(nodes);
  const clients = redisClients(nodes);
  for (const client of clients) {
    await client.set("redlock:@reserved:account", "2:0000000000001:0001:x", "PX", 60_000);
    await client.set("redlock:@waiting", "1", "PX", 60_000);
  }

  expect(await redlock.tryAcquire("account")).toBeNull();
  expect(await PEERS["redsync"]!(clients).tryLock([STORED], 5_000)).toBeDefined();
});

describe("a part of the nodes", () => {
  test("that another program holds is left to it by grant, extend and release", async () => {
    const redlock = await connectOurs(nodes, { heartbeat: false });
    const clients = redisClients(nodes);
    await clients[1]!.set(STORED, "theirs", "PX", 60_000, "NX");

    await expectUntouched([clients[1]!], async () => {
      const lock = await redlock.acquire("account");
      await lock.extend();
      expect(await lock.release()).toBe("released");
    });
  });

  test("that two other programs hold is a conflict, and our vote is given back", async () => {
    const redlock = await connectOurs(nodes);
    const clients = redisClients(nodes);
    await clients[0]!.set(STORED, "one", "PX", 60_000, "NX");
    await clients[1]!.set(STORED, "other", "PX", 60_000, "NX");

    await expectUntouched(clients, async () => {
      expect(await failureOf(redlock.acquire("account"))).toBeInstanceOf(LockConflictError);
      expect(await redlock.isLocked("account")).toBe(true);
    });
  });
});
