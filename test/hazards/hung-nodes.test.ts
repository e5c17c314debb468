import { describe, expect, test } from "vitest";
import {
  LockConflictError,
  LockLostError,
  LockUnavailableError,
  type Lock,
  type RedlockOptions,
} from "../../src/index.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import {
  connectRedlock,
  failureOf,
  Ledger,
  letPass,
  makeProxies,
  makeRedlock,
  NODE_TIMEOUT,
  timed,
  TTL,
  untilAborted,
  untilAllAnswer,
  untilFreeEverywhere,
  valuesOf,
} from "./support.ts";

/** What a call may take that is bounded by one node timeout; the rest is for a busy machine. */
const ONE_TIMEOUT = NODE_TIMEOUT + 1_500;
/** A client waits this long for the very first connection to a node. */
const FIRST_CONNECTION = 2_000;

describe("one hung node of three", () => {
  const nodes = useRedisNodes(3);

  test("delays neither acquire nor extend nor release (R3, S3, U3, U9, P4)", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 3_000, nodeTimeout: 3_000 });
    nodes.pause(2);

    const { ms } = await timed(async () => {
      const lock = await redlock.acquire("account");
      await lock.extend();
      expect(await lock.release()).toBe("released");
    });

    // Three calls, and not one of them waited for the node: each would have taken its 3 s.
    expect(ms).toBeLessThan(2_900);
  });

  test("does not keep a new client from its first lock (S3, U3)", async () => {
    nodes.pause(0);
    const redlock = makeRedlock(nodes.urls, { ttl: 3_000, nodeTimeout: 3_000 });

    const { value: lock, ms } = await timed(() => redlock.acquire("account"));

    expect(lock.held).toBe(true);
    expect(ms).toBeLessThan(2_900);
  });

  test("is left out of a short ttl as of a long one (U3)", async () => {
    nodes.pause(1);
    const redlock = makeRedlock(nodes.urls, { ttl: 500, maxTtl: 60_000, nodeTimeout: 100 });

    const short = await redlock.acquire("short");
    const long = await redlock.acquire("long", { ttl: 60_000 });

    expect(short.held).toBe(true);
    expect(long.held).toBe(true);
  });

  test("does not stop the heartbeat: the lock lives for many ttls (S2, U1, U2)", async () => {
    const [redlock, rival] = await Promise.all([
      connectRedlock(nodes.urls, { ttl: 800 }),
      connectRedlock(nodes.urls),
    ]);
    const lock = await redlock.acquire("account");
    nodes.pause(1);

    const until = performance.now() + 1_800;
    while (performance.now() < until) {
      expect(await rival.tryAcquire("account")).toBeNull();
      expect(lock.held).toBe(true);
      await letPass(50);
    }
    expect(lock.signal.aborted).toBe(false);
  });

  test("has nothing of ours when it comes back (U5)", async () => {
    const redlock = await connectRedlock(nodes.urls);
    nodes.pause(2);
    const lock = await redlock.acquire("account");
    await lock.release();

    nodes.resume(2);

    // The late acquire is executed, and the release right behind it: long before the ttl.
    await untilFreeEverywhere(redisClients(nodes), "account");
    const [, , fence] = await Promise.all(
      redisClients(nodes).map((client) => client.get("redlock:@fence:account")),
    );
    expect(fence).toBe(`${lock.fencingToken}:${lock.fencingToken}`);
  });

  test("that died instead does no harm either (U1, S3)", async () => {
    await nodes.kill(0);
    const redlock = makeRedlock(nodes.urls, { ttl: 800 });

    const { value: lock, ms } = await timed(() => redlock.acquire("account"));
    await letPass(1_600);

    expect(ms).toBeLessThan(ONE_TIMEOUT);
    expect(lock.held).toBe(true);
    const released = await timed(() => lock.release());
    expect(released.value).toBe("released");
    expect(released.ms).toBeLessThan(ONE_TIMEOUT);
  });
});

describe("an extend that hangs on a majority (R4, S2, U1)", () => {
  const nodes = useRedisNodes(3);

  test("does not keep the signal from aborting before another can hold the key", async () => {
    const [redlock, rival] = await Promise.all([
      connectRedlock(nodes.urls),
      connectRedlock(nodes.urls),
    ]);
    const ledger = new Ledger();
    const lock = await redlock.acquire("account");
    ledger.begin("holder", lock);
    nodes.pause(1);
    nodes.pause(2);

    const reason = await untilAborted(lock);

    expect(reason).toBeInstanceOf(LockLostError);
    expect(reason).toMatchObject({ reason: "expired" });
    // A quorum keeps the key for at least the abort margin: the holder has time to stop.
    expect(await redisClients(nodes)[0]!.get("redlock:account")).not.toBeNull();
    nodes.resume(1);
    nodes.resume(2);
    ledger.begin("rival", await rival.acquire("account", { waitTimeout: 5_000 }));
    ledger.expectOneAtATime();
  });

  test("does not keep `using` from settling (R4, R7)", async () => {
    const redlock = await connectRedlock(nodes.urls);

    const { value, ms } = await timed(() =>
      failureOf(
        redlock.using("account", async (lock) => {
          nodes.pause(0);
          nodes.pause(1);
          nodes.pause(2);
          await untilAborted(lock);
          return "a value nobody may rely on";
        }),
      ),
    );

    expect(value).toBeInstanceOf(LockLostError);
    // A ttl until the abort, a node timeout for the release.
    expect(ms).toBeLessThan(TTL + ONE_TIMEOUT + 500);
  });

  test("tells the caller of extend that no quorum confirmed (U9)", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const lock = await redlock.acquire("account", { heartbeat: false });
    nodes.pause(1);
    nodes.pause(2);

    const { value: error, ms } = await timed(() => failureOf(lock.extend()));

    expect(error).toBeInstanceOf(LockUnavailableError);
    expect((error as LockUnavailableError).votes.map(({ vote }) => vote)).toEqual([
      "granted",
      "timed-out",
      "timed-out",
    ]);
    expect(ms).toBeLessThan(ONE_TIMEOUT);
    expect(lock.held).toBe(true);
  });

  test("ends every call within a node timeout when all nodes hang (R3, S3)", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const lock = await redlock.acquire("held");
    for (const index of [0, 1, 2]) nodes.pause(index);

    const acquire = await timed(() => failureOf(redlock.acquire("other")));
    const look = await timed(() => failureOf(redlock.isLocked("held")));
    const release = await timed(() => lock.release());

    expect(acquire.value).toBeInstanceOf(LockUnavailableError);
    expect(look.value).toBeInstanceOf(LockUnavailableError);
    expect(release.value).toBe("expired");
    for (const { ms } of [acquire, look, release]) expect(ms).toBeLessThan(ONE_TIMEOUT);
  });

  test("is said to a new client within its patience for the first connection (S3)", async () => {
    for (const index of [0, 1, 2]) nodes.pause(index);
    const redlock = makeRedlock(nodes.urls);

    const { value, ms } = await timed(() => failureOf(redlock.acquire("account")));

    expect(value).toBeInstanceOf(LockUnavailableError);
    expect(ms).toBeLessThan(FIRST_CONNECTION + ONE_TIMEOUT);
  });

  test("leaves the other locks of the client alone when nodes die for good (S5)", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 800 });
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", note);
    try {
      const [one, two] = await Promise.all([redlock.acquire("one"), redlock.acquire("two")]);
      await Promise.all([nodes.kill(0), nodes.kill(1), nodes.kill(2)]);

      const reasons = await Promise.all([untilAborted(one), untilAborted(two)]);

      expect(reasons).toEqual([expect.any(LockLostError), expect.any(LockLostError)]);
      expect(one.held).toBe(false);
      expect(await one.release()).toBe("expired");
      expect(await two.release()).toBe("expired");
      expect(unhandled).toEqual([]);
    } finally {
      process.off("unhandledRejection", note);
    }
  });
});

describe("an abort that comes in time, not late by design (R5)", () => {
  const nodes = useRedisNodes(3);

  test("follows a stolen lock within one heartbeat", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 3_000, heartbeat: 300 });
    const lock = await redlock.acquire("stolen");
    await Promise.all(
      redisClients(nodes).map((client) => client.set("redlock:stolen", "thief", "PX", 60_000)),
    );

    const { value: reason, ms } = await timed(() => untilAborted(lock));

    expect(reason).toMatchObject({ code: "ERR_REDLOCK_LOST", reason: "taken" });
    // One heartbeat, and plenty for a busy machine; far below the ttl.
    expect(ms).toBeLessThan(1_500);
    expect(await lock.release()).toBe("expired");
    expect(await valuesOf(redisClients(nodes), "stolen")).toEqual(["thief", "thief", "thief"]);
  });
});

describe("votes that can never add up (R3)", () => {
  describe("with four nodes", () => {
    const nodes = useRedisNodes(4);

    test("settles a tie of two against two", async () => {
      const redlock = await connectRedlock(nodes.urls);
      const clients = redisClients(nodes);
      await clients[0]!.set("redlock:tie", "somebody");
      await clients[1]!.set("redlock:tie", "somebody");

      const { value, ms } = await timed(() => failureOf(redlock.acquire("tie")));

      expect(value).toBeInstanceOf(LockConflictError);
      // A few rounds until the minority counts as a holder: never longer than the rounds are.
      expect(ms).toBeLessThan(6_000);
      await untilFreeEverywhere(clients.slice(2), "tie");
    });
  });

  describe("with three nodes", () => {
    const nodes = useRedisNodes(3);
    const patient: RedlockOptions = { nodeTimeout: 100 };

    test("settles one for, one against, one silent, and keeps nothing", async () => {
      const redlock = await connectRedlock(nodes.urls, patient);
      const clients = redisClients(nodes);
      await clients[1]!.set("redlock:split", "somebody");
      nodes.pause(2);

      const { value, ms } = await timed(() => failureOf(redlock.acquire("split")));

      expect(value).toBeInstanceOf(LockConflictError);
      expect(ms).toBeLessThan(4_000);
      await untilFreeEverywhere([clients[0]!], "split");
      nodes.resume(2);
      await untilFreeEverywhere([clients[2]!], "split");
    });

    test("settles an extend and a release with one node for, one against, one silent", async () => {
      const redlock = await connectRedlock(nodes.urls, patient);
      const clients = redisClients(nodes);
      const lock = await redlock.acquire("account", { heartbeat: false });
      await clients[1]!.del("redlock:account");
      nodes.pause(2);

      const extend = await timed(() => failureOf(lock.extend()));
      const release = await timed(() => lock.release());

      expect(extend.value).toBeInstanceOf(Error);
      expect(release.value).toBe("expired");
      for (const { ms } of [extend, release]) expect(ms).toBeLessThan(1_000);
    });
  });
});

describe("a client that is cut off from a majority (U2, S1)", () => {
  const nodes = useRedisNodes(3);

  test("stops before the next client holds, whichever node it still reaches", async () => {
    const proxies = await makeProxies(nodes.ports);
    const isolated = await connectRedlock(
      proxies.map(({ url }) => url),
      { ttl: 1_000 },
    );
    const rival = await connectRedlock(nodes.urls, { ttl: 1_000 });
    for (const lost of ["requests", "replies"] as const) {
      const ledger = new Ledger();
      const lock = await isolated.acquire("account", { waitTimeout: 5_000 });
      ledger.begin("isolated", lock);
      // Both look alike from here. With lost replies a second node still hears the extends, in vain.
      proxies[0]!.requests.drop();
      proxies[1]![lost].drop();

      // Without a pause that would hide an abort that comes too late.
      let next: Lock | null = null;
      while (next === null) {
        await letPass(5);
        next = await rival.tryAcquire("account");
      }
      ledger.begin("rival", next);
      ledger.expectOneAtATime();
      expect(lock.held).toBe(false);

      await Promise.all([next.release(), lock.release()]);
      for (const proxy of proxies) {
        proxy.cut();
        proxy.requests.pass();
        proxy.replies.pass();
      }
      await untilAllAnswer(isolated);
    }
  });
});
