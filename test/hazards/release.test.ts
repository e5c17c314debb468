import { describe, expect, test } from "vitest";
import { LockUnavailableError, type Lock, type RedlockEvents } from "../../src/index.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import {
  connectRedlock,
  countCalls,
  failureOf,
  letPass,
  makeProxies,
  makeRedlock,
  NODE_TIMEOUT,
  timed,
  TTL,
  untilAborted,
  untilAllAnswer,
  untilFreeEverywhere,
  untilHeldEverywhere,
  valuesOf,
} from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const nodes = useRedisNodes(3);

describe("a release that has nothing to release (R7)", () => {
  test("does not replace the value of `using` when the keys vanished", async () => {
    const redlock = await connectRedlock(nodes.urls);

    const { value, ms } = await timed(() =>
      redlock.using("account", async () => {
        await Promise.all(redisClients(nodes).map((client) => client.flushall()));
        return "the value";
      }),
    );

    expect(value).toBe("the value");
    // One try, not ten.
    expect(ms).toBeLessThan(NODE_TIMEOUT + 1_500);
  });

  test("does not replace the routine's own error", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const own = new Error("the routine's own");

    const error = await failureOf(
      redlock.using("account", async () => {
        await Promise.all(redisClients(nodes).map((client) => client.flushall()));
        throw own;
      }),
    );

    expect(error).toBe(own);
  });

  test("does not replace it either when the lock was lost on the way", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const own = new Error("the routine's own");

    const error = await failureOf(
      redlock.using("account", { heartbeat: false }, async (lock) => {
        await untilAborted(lock);
        throw own;
      }),
    );

    expect(error).toBe(own);
  });

  test("returns for a lock that expired long ago, and says so", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const lock = await redlock.acquire("account", { heartbeat: false });
    await untilAborted(lock);
    await letPass(TTL / 2);

    const { value, ms } = await timed(() => lock.release());

    expect(value).toBe("expired");
    expect(ms).toBeLessThan(NODE_TIMEOUT + 1_500);
  });

  test("is bounded when every node hangs, and keeps the routine's value", async () => {
    const redlock = await connectRedlock(nodes.urls);

    const { value, ms } = await timed(() =>
      redlock.using("account", () => {
        for (const index of [0, 1, 2]) nodes.pause(index);
        return "the value";
      }),
    );

    expect(value).toBe("the value");
    expect(ms).toBeLessThan(NODE_TIMEOUT + 1_500);
  });
});

describe("a new client", () => {
  test("extends and releases without waiting for a node that it has never met", async () => {
    nodes.pause(2);
    const redlock = makeRedlock(nodes.urls);
    const lock = await redlock.acquire("account");
    await nodes.kill(1);
    const settled: string[] = [];
    const note = (what: string) => (): void => void settled.push(what);

    // It has the patience of a new client, and is on its way before the others.
    const inspected = failureOf(redlock.inspect("another")).then(note("inspect"));
    await new Promise(setImmediate);
    await Promise.all([
      inspected,
      failureOf(lock.extend())
        .then(note("extend"))
        .then(() => lock.release())
        .then(note("release")),
    ]);

    expect(settled).toEqual(["extend", "release", "inspect"]);
  });
});

describe("a routine that ends while an extend is under way (R8, U6)", () => {
  test("is followed by no extend and no abort", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(
      proxies.map(({ url }) => url),
      { ttl: 900, heartbeat: 100 },
    );
    const events: string[] = [];
    redlock.on("extended", () => void events.push("extended"));
    redlock.on("lost", () => void events.push("lost"));
    let held: Lock | undefined;

    const value = await redlock.using("account", async (lock) => {
      held = lock;
      const beats = proxies.map(({ requests }) => requests.next());
      for (const proxy of proxies) proxy.replies.pass(100);
      await Promise.all(beats);
      return "done";
    });
    events.length = 0;
    const clients = redisClients(nodes);
    await untilFreeEverywhere(clients, "account");
    const calls = await Promise.all(clients.map((client) => countCalls(client, "evalsha")));
    for (const proxy of proxies) proxy.replies.pass();
    // Long enough for an extend that is answered late, a repeated one, and a watchdog at the end of the ttl.
    await letPass(1_200);

    expect(value).toBe("done");
    expect(held?.signal.aborted).toBe(false);
    expect(events).toEqual([]);
    const later = await Promise.all(clients.map((client) => countCalls(client, "evalsha")));
    expect(later).toEqual(calls);
  });

  test("and by no extend that brings the key back on a slow node (S6)", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(proxies.map(({ url }) => url));
    const clients = redisClients(nodes);
    const lock = await redlock.acquire("account", { heartbeat: false });
    await waitFor(async () =>
      expect(await valuesOf(clients, "account")).toEqual(clients.map(() => expect.any(String))),
    );
    proxies[2]!.requests.hold();

    const extending = lock.extend();
    const releasing = lock.release();
    await Promise.all([extending.catch(() => undefined), releasing]);
    expect(await releasing).toBe("released");
    proxies[2]!.requests.pass();

    await untilFreeEverywhere(clients, "account");
    await letPass(200);
    expect(await valuesOf(clients, "account")).toEqual([null, null, null]);
  });
});

describe("a request that arrives after the release (S6, U5)", () => {
  test("takes no key, even when another connection overtook it", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(proxies.map(({ url }) => url));
    const clients = redisClients(nodes);
    const slow = proxies[2]!;
    slow.requests.hold();
    const underWay = slow.requests.next();
    const lock = await redlock.acquire("account", { heartbeat: false });
    await underWay;
    expect(await clients[2]!.get("redlock:account")).toBeNull();

    // The client loses the connection; what it sent is still in the network.
    const up = new Promise<void>((resolve) => {
      const listener = ({ node }: RedlockEvents["node:up"][0]): void => {
        if (node.endsWith(`:${slow.port}`)) resolve();
      };
      redlock.on("node:up", listener);
    });
    const held = slow.detach();
    await up;
    expect(await lock.release()).toBe("released");
    await waitFor(async () =>
      expect(await clients[2]!.get("redlock:@fence:account")).toBe(
        `${lock.fencingToken}:${lock.fencingToken}`,
      ),
    );
    held.deliver();
    await held.delivered;

    expect(await clients[2]!.get("redlock:account")).toBeNull();
  });

  test("extends nothing for the next holder, and takes nothing from it", async () => {
    const proxies = await makeProxies(nodes.ports);
    const [redlock, rival] = await Promise.all([
      connectRedlock(proxies.map(({ url }) => url)),
      connectRedlock(nodes.urls, { ttl: 10_000 }),
    ]);
    const clients = redisClients(nodes);
    const lock = await redlock.acquire("account", { heartbeat: false });
    for (const proxy of proxies) proxy.requests.hold();
    const extending = failureOf(lock.extend());
    await untilAborted(lock);
    const releasing = lock.release();

    const next = await rival.acquire("account", { waitTimeout: 10_000, heartbeat: false });
    const stored = await untilHeldEverywhere(clients, next);
    for (const proxy of proxies) proxy.requests.pass();
    await Promise.all([extending, releasing]);
    await untilAllAnswer(redlock);

    expect(await valuesOf(clients, "account")).toEqual(stored);
    expect(await extending).toBeInstanceOf(LockUnavailableError);
    expect(next.held).toBe(true);
    expect(await next.release()).toBe("released");
  });
});

describe("releasing twice, or at the same time as something else", () => {
  test("is one release", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const released: string[] = [];
    redlock.on("released", ({ outcome }) => void released.push(outcome));
    const lock = await redlock.acquire("account");

    const outcomes = await Promise.all([lock.release(), lock.release(), redlock.close()]);

    expect(outcomes.slice(0, 2)).toEqual(["released", "released"]);
    expect(await lock.release()).toBe("released");
    expect(released).toEqual(["released"]);
    expect(lock.signal.aborted).toBe(false);
  });
});
