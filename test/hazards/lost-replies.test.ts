import { describe, expect, test } from "vitest";
import type { Clock, Timer } from "../../src/clock.ts";
import { LockUnavailableError } from "../../src/index.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import {
  connectRedlock,
  countCalls,
  failureOf,
  makeProxies,
  NODE_TIMEOUT,
  TTL,
  untilAllAnswer,
  untilFreeEverywhere,
  valuesOf,
} from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const nodes = useRedisNodes(3);

describe("a reply that is lost (R11, U5)", () => {
  test("costs nothing when it is one of three", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(proxies.map(({ url }) => url));
    proxies[0]!.replies.drop();

    const lock = await redlock.acquire("account");

    expect(lock.held).toBe(true);
    await lock.extend();
    expect(await lock.release()).toBe("released");
    await untilFreeEverywhere(redisClients(nodes), "account");
  });

  test("means not held when it is a majority, and everything is given back at once", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(
      proxies.map(({ url }) => url),
      { ttl: 10_000, nodeTimeout: NODE_TIMEOUT },
    );
    const rival = await connectRedlock(nodes.urls);
    for (const proxy of proxies.slice(1)) proxy.replies.drop();

    expect(await failureOf(redlock.acquire("account"))).toBeInstanceOf(LockUnavailableError);

    // Long before the ttl: the nodes that were not heard have heard the rollback.
    await untilFreeEverywhere(redisClients(nodes), "account");
    expect((await rival.acquire("account")).held).toBe(true);
  });

  test("does not make the request run twice when the connection is made anew", async () => {
    const [proxy] = await makeProxies(nodes.ports.slice(0, 1));
    const [client] = redisClients(nodes);
    const redlock = await connectRedlock([proxy!.url]);
    const before = await countCalls(client!, "eval", "evalsha");
    proxy!.replies.drop();
    const executed = proxy!.replies.next();
    const acquiring = redlock.acquire("account");
    await executed;
    const [lost] = await valuesOf([client!], "account");
    proxy!.replies.pass();
    proxy!.cut();

    // The acquisition goes on with another request, under another token.
    const lock = await acquiring;

    expect(lock.fencingToken).toBeGreaterThan(Number.parseInt(lost!, 10));
    const [stored] = await valuesOf([client!], "account");
    expect(stored).toMatch(`${lock.fencingToken}:`);
    // The acquire, the script once more for the new connection, the rollback, and the second acquire.
    expect((await countCalls(client!, "eval", "evalsha")) - before).toBeLessThanOrEqual(4);
    expect(await lock.release()).toBe("released");
    expect(await client!.get("redlock:account")).toBeNull();
  });
});

describe("a connection that is reset", () => {
  test("in the middle of a reply is no answer, and the next connection starts anew", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(proxies.map(({ url }) => url));
    let downs = 0;
    redlock.on("node:down", () => (downs += 1));
    for (const proxy of proxies) proxy.resetAfterReplyBytes(2);

    const lock = await redlock.acquire("account", { waitTimeout: TTL * 4 });

    await waitFor(() => expect(downs).toBe(3));
    await lock.extend();
    expect(await lock.release()).toBe("released");
  });

  test("again and again on one node does not disturb the heartbeat", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(
      proxies.map(({ url }) => url),
      { ttl: 800 },
    );
    const lock = await redlock.acquire("account");
    const cutting = setInterval(() => proxies[1]!.cut(), 30);
    try {
      await new Promise<void>((resolve) => {
        let beats = 0;
        redlock.on("extended", () => (++beats === 6 ? resolve() : undefined));
      });
    } finally {
      clearInterval(cutting);
    }

    expect(lock.held).toBe(true);
    expect(await lock.release()).toBe("released");
  });

  test("by a node that accepts nobody is tried again, not given up and not hammered", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(proxies.map(({ url }) => url));
    let downs = 0;
    redlock.on("node:down", () => (downs += 1));
    proxies[0]!.refuse();
    proxies[0]!.cut();
    await waitFor(() => expect(downs).toBeGreaterThanOrEqual(4));

    proxies[0]!.refuse(false);

    await untilAllAnswer(redlock);
    // Pauses grow from 50 ms: a few attempts in this time, not thousands.
    expect(downs).toBeLessThan(30);
  });
});

describe("a connection that is half open", () => {
  /** Time runs faster: what the library does after ten seconds of silence is seen in half a second. */
  class FastClock implements Clock {
    readonly factor = 20;
    now(): number {
      return performance.now() * this.factor;
    }
    wall(): number {
      return Date.now();
    }
    timer(ms: number, run: () => void): Timer {
      return setTimeout(run, ms / this.factor);
    }
    clearTimer(timer: Timer | undefined): void {
      clearTimeout(timer as NodeJS.Timeout | undefined);
    }
  }

  test("is given up after a long silence, where no new one is answered either", async () => {
    const [proxy] = await makeProxies(nodes.ports.slice(0, 1));
    const redlock = await connectRedlock(
      [proxy!.url],
      { ttl: 60_000, nodeTimeout: 3_000 },
      new FastClock(),
    );
    const causes: string[] = [];
    redlock.on("node:down", ({ cause }) => causes.push(cause));
    proxy!.replies.drop();
    expect(await failureOf(redlock.acquire("account"))).toBeInstanceOf(LockUnavailableError);
    await waitFor(() => expect(causes).toContain("no answer for 10 s"));

    proxy!.replies.pass();
    proxy!.cut();
    await waitFor(async () => expect((await redlock.acquire("account")).held).toBe(true));
  });
});

/** Makes every node forget our script. */
async function flush(): Promise<void> {
  await Promise.all(redisClients(nodes).map((client) => client.script("FLUSH")));
}

describe("SCRIPT FLUSH", () => {
  test("between the calls is not noticed", async () => {
    const redlock = await connectRedlock(nodes.urls);
    await flush();
    const lock = await redlock.acquire("account");
    await flush();
    await lock.extend();
    await flush();
    expect(await redlock.isLocked("account")).toBe(true);
    await flush();
    expect(await lock.release()).toBe("released");
    await untilFreeEverywhere(redisClients(nodes), "account");
  });

  test("during many calls is not noticed either", async () => {
    const redlock = await connectRedlock(nodes.urls, { nodeTimeout: 700 });
    const clients = redisClients(nodes);
    const done = new AbortController();
    const flushing = (async () => {
      while (!done.signal.aborted)
        await Promise.all(clients.map((client) => client.script("FLUSH")));
    })();
    const keys = Array.from({ length: 200 }, (_, index) => `account:${index}`);
    try {
      const outcomes = await Promise.all(
        keys.map((key, index) =>
          redlock.using(key, async (lock) => {
            if (index % 2 === 0) await lock.extend();
            return lock.held;
          }),
        ),
      );
      expect(outcomes.every(Boolean)).toBe(true);
    } finally {
      done.abort();
      await flushing;
    }
    for (const key of keys) await untilFreeEverywhere(clients, key);
  });

  test("does not make a request run after its deadline", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(proxies.map(({ url }) => url));
    await flush();
    const before = await Promise.all(
      redisClients(nodes).map((client) => countCalls(client, "set")),
    );
    // The server's "no such script" comes when nobody waits any more.
    const late = proxies.map(({ replies }) => replies.next());
    for (const proxy of proxies) proxy.replies.hold();

    expect(await failureOf(redlock.acquire("account"))).toBeInstanceOf(LockUnavailableError);
    await Promise.all(late);
    for (const proxy of proxies) proxy.replies.pass();
    await untilAllAnswer(redlock);

    expect(await valuesOf(redisClients(nodes), "account")).toEqual([null, null, null]);
    // A rollback writes once, and is written to a connection in doubt and to its successor; an acquire writes twice more.
    for (const [index, client] of redisClients(nodes).entries()) {
      expect((await countCalls(client, "set")) - (before[index] ?? 0)).toBeLessThanOrEqual(2);
    }
  });
});
