import { describe, expect, test } from "vitest";
import {
  LockConflictError,
  LockLostError,
  LockUnavailableError,
  RedlockClosedError,
  type Lock,
  type Redlock,
} from "../../src/index.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import {
  connectRedlock,
  failureOf,
  Ledger,
  makeProxies,
  NODE_TIMEOUT,
  timed,
  untilAllAnswer,
  untilFreeEverywhere,
  valuesOf,
} from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const nodes = useRedisNodes(3);

function makeContenders(count: number): Promise<Redlock[]> {
  return Promise.all(
    Array.from({ length: count }, () =>
      connectRedlock(nodes.urls, { ttl: 5_000, nodeTimeout: 500 }),
    ),
  );
}

describe("ten contenders for one free key (R6)", () => {
  test("have one winner in each of 300 races, and the others are told of a contender", async () => {
    const contenders = await makeContenders(10);
    const ledger = new Ledger();
    let lastToken = 0;
    for (let race = 0; race < 300; race++) {
      const outcomes = await Promise.all(
        contenders.map(async (redlock, index) => {
          const holder = `contender ${index}`;
          try {
            const lock = await redlock.acquire("race", { holder });
            ledger.begin(holder, lock);
            return { holder, lock };
          } catch (error) {
            return { holder, error };
          }
        }),
      );

      const winners = outcomes.filter(({ lock }) => lock !== undefined);
      expect(winners.map(({ holder }) => holder)).toHaveLength(1);
      const [winner] = winners;
      for (const { error, holder } of outcomes) {
        if (holder === winner?.holder) continue;
        expect(error).toBeInstanceOf(LockConflictError);
        // Nearly always the winner. A contender with a quorum whose token is too low is named too, for it goes on.
        const named = (error as LockConflictError).holder;
        expect(contenders.map((_, index) => `contender ${index}`)).toContain(named?.text);
        expect(named?.text).not.toBe(holder);
        // Both have a token below the winner's. One beside or after the winner would not.
        const { fencingToken: highest = 0 } = winner?.lock ?? {};
        if (named?.text === winner?.holder)
          expect(named?.fencingToken).toBeLessThanOrEqual(highest);
        else expect(named?.fencingToken).toBeLessThan(highest);
        // No contender of an earlier race, whose vote is only being rolled back.
        expect(named?.fencingToken).toBeGreaterThan(lastToken);
      }
      ledger.end(winner?.lock);
      lastToken = winner?.lock?.fencingToken ?? lastToken;
      await winner?.lock?.release();
    }
    ledger.expectOneAtATime();
  });

  test("all get it in turn when they wait, one at a time and with growing tokens", async () => {
    const contenders = await makeContenders(10);
    const ledger = new Ledger();

    await Promise.all(
      contenders.map((redlock, index) =>
        redlock.using("queue", { waitTimeout: 30_000 }, async (lock) => {
          ledger.begin(`contender ${index}`, lock);
          await new Promise((resolve) => setImmediate(resolve));
          ledger.end(lock);
        }),
      ),
    );

    expect(ledger.entries).toHaveLength(10);
    ledger.expectOneAtATime();
  });

  test("win one race each time even when every request is delayed differently", async () => {
    const proxies = await makeProxies(nodes.ports);
    const slow = await makeProxies(nodes.ports);
    for (const [index, proxy] of slow.entries()) proxy.requests.pass(5 * (index + 1));
    for (const [index, proxy] of proxies.entries()) proxy.requests.pass(5 * (3 - index));
    const contenders = await Promise.all(
      [proxies, slow, proxies, slow].map((links) =>
        connectRedlock(
          links.map(({ url }) => url),
          { ttl: 5_000, nodeTimeout: 500 },
        ),
      ),
    );
    for (let race = 0; race < 10; race++) {
      const outcomes = await Promise.all(
        contenders.map((redlock) =>
          redlock.acquire("race").catch((error: unknown) => error as Error),
        ),
      );
      const locks = outcomes.filter((outcome): outcome is Lock => !(outcome instanceof Error));
      expect(locks).toHaveLength(1);
      for (const outcome of outcomes) {
        if (outcome instanceof Error) expect(outcome).toBeInstanceOf(LockConflictError);
      }
      await locks[0]!.release();
    }
  });
});

describe("a minority that blocks for a while (R6)", () => {
  test("is outlasted: one node is free, one becomes free, one is dead", async () => {
    const redlock = await connectRedlock(nodes.urls);
    await redisClients(nodes)[1]!.set("redlock:account", "somebody", "PX", 300);
    await nodes.kill(2);

    const { value: lock, ms } = await timed(() =>
      redlock.acquire("account", { waitTimeout: 10_000 }),
    );

    expect(lock.held).toBe(true);
    // The retries of the npm package redlock took 1.9 s and failed here; a waiter looks at least once a second.
    expect(ms).toBeLessThan(3_000);
    expect(await lock.release()).toBe("released");
  });

  test("is outlasted before a node that has lost its memory is armed again", async () => {
    const options = { ttl: 5_000, nodeTimeout: 1_000, restartGuard: "trust-new" } as const;
    const redlock = await connectRedlock(nodes.urls, options);
    await (await redlock.acquire("account")).release();
    const clients = redisClients(nodes);
    await untilFreeEverywhere(clients, "account");
    // A contender gives its vote back soon; a node that is new beside others is armed after two timeouts.
    await nodes.kill(2);
    await nodes.restart(2, { empty: true });
    await untilAllAnswer(redlock);
    await clients[1]!.set("redlock:account", "1:contender:x", "PX", 40);

    const { value: lock, ms } = await timed(() => redlock.acquire("account"));

    expect(lock.held).toBe(true);
    expect(ms).toBeLessThan(1_000);
  });

  test("is not kept by whoever fails because of it", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const clients = redisClients(nodes);
    await clients[1]!.set("redlock:account", "one");
    await clients[2]!.set("redlock:account", "two");

    expect(await failureOf(redlock.acquire("account"))).toBeInstanceOf(LockConflictError);

    await untilFreeEverywhere([clients[0]!], "account");
    expect(await valuesOf(clients, "account")).toEqual([null, "one", "two"]);
  });

  test("of a crashed contender does not keep a quorum from others", async () => {
    const redlock = await connectRedlock(nodes.urls);
    await redisClients(nodes)[0]!.set("redlock:account", "1:crashed:x", "PX", 60_000);

    expect((await redlock.acquire("account")).held).toBe(true);
  });
});

describe("waiting for a held key", () => {
  test("ends with the signal's reason, and leaves nothing", async () => {
    const [holder, waiter] = await Promise.all([
      connectRedlock(nodes.urls),
      connectRedlock(nodes.urls),
    ]);
    const lock = await holder.acquire("account");
    const controller = new AbortController();
    const conflict = new Promise((resolve) => waiter.once("conflict", resolve));
    const waiting = failureOf(
      waiter.acquire("account", { waitTimeout: 60_000, signal: controller.signal }),
    );
    await conflict;
    const reason = new Error("the user went home");

    controller.abort(reason);

    expect(await waiting).toBe(reason);
    await lock.release();
    await untilFreeEverywhere(redisClients(nodes), "account");
  });

  test("ends with the signal although nodes hang, within a node timeout", async () => {
    const redlock = await connectRedlock(nodes.urls);
    for (const index of [0, 1, 2]) nodes.pause(index);
    const controller = new AbortController();
    const waiting = failureOf(
      redlock.acquire("account", { waitTimeout: 60_000, signal: controller.signal }),
    );
    controller.abort(new Error("no more"));

    const { value, ms } = await timed(() => waiting);

    expect(value).toBeInstanceOf(Error);
    expect(ms).toBeLessThan(NODE_TIMEOUT + 1_500);
  });

  test("throws the reason at once when the signal has aborted before, and asks no node", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const reason = new Error("before");

    const error = await failureOf(
      redlock.acquire("account", { signal: AbortSignal.abort(reason) }),
    );

    expect(error).toBe(reason);
    expect(await redisClients(nodes)[0]!.get("redlock:@fence:account")).toBeNull();
  });

  test("gives back a lock that is granted while the signal aborts", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 10_000 });
    const reason = new Error("gone");
    const controller = new AbortController();
    const acquiring = failureOf(redlock.acquire("account", { signal: controller.signal }));
    controller.abort(reason);

    expect(await acquiring).toBe(reason);
    await untilFreeEverywhere(redisClients(nodes), "account");
  });

  test("ends when the Redlock closes", async () => {
    const [holder, waiter] = await Promise.all([
      connectRedlock(nodes.urls),
      connectRedlock(nodes.urls),
    ]);
    await holder.acquire("account");
    const conflict = new Promise((resolve) => waiter.once("conflict", resolve));
    const waiting = failureOf(waiter.acquire("account", { waitTimeout: 60_000 }));
    await conflict;

    const { ms } = await timed(() => waiter.close());

    expect(await waiting).toBeInstanceOf(RedlockClosedError);
    expect(ms).toBeLessThan(1_000);
    expect(await failureOf(waiter.acquire("account"))).toBeInstanceOf(RedlockClosedError);
  });

  test("releases what is held when the Redlock closes, and aborts its signal", async () => {
    const [closing, next] = await Promise.all([
      connectRedlock(nodes.urls, { ttl: 10_000 }),
      connectRedlock(nodes.urls),
    ]);
    const lock = await closing.acquire("account");

    await closing.close();

    expect(lock.signal.reason).toBeInstanceOf(LockLostError);
    expect(lock.signal.reason).toMatchObject({ reason: "closed" });
    expect((await next.acquire("account")).held).toBe(true);
  });

  test("keeps the lock of a running routine until it settles, though the Redlock closes", async () => {
    const [closing, next] = await Promise.all([
      connectRedlock(nodes.urls, { ttl: 10_000 }),
      connectRedlock(nodes.urls),
    ]);
    let closed: Promise<void> | undefined;
    const outcome = await failureOf(
      closing.using("account", async (lock) => {
        closed = closing.close();
        await waitFor(() => expect(lock.signal.aborted).toBe(true));
        expect(await next.tryAcquire("account")).toBeNull();
      }),
    );
    await closed;

    expect(outcome).toBeInstanceOf(LockLostError);
    expect((await next.acquire("account")).held).toBe(true);
  });

  test("leaves nothing of an attempt that the closing Redlock broke off", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 15_000 });
    const clients = redisClients(nodes);
    await clients[1]!.set("redlock:account", "one");
    await clients[2]!.set("redlock:account", "two");
    const acquiring = failureOf(redlock.acquire("account", { waitTimeout: 60_000 }));
    await redlock.close();

    expect(await acquiring).toBeInstanceOf(RedlockClosedError);
    await untilFreeEverywhere([clients[0]!], "account");
    expect(await valuesOf(clients, "account")).toEqual([null, "one", "two"]);
  });

  for (const moment of ["during", "right after"] as const) {
    test(`leaves nothing on nodes that hung when the Redlock closed ${moment} an attempt`, async () => {
      const redlock = await connectRedlock(nodes.urls, { ttl: 15_000 });
      nodes.pause(1);
      nodes.pause(2);
      const acquiring = failureOf(redlock.acquire("account"));
      if (moment === "right after") await acquiring;
      await redlock.close();
      expect(await acquiring).toBeInstanceOf(Error);

      nodes.resume(1);
      nodes.resume(2);

      const rival = await connectRedlock(nodes.urls);
      expect((await rival.acquire("account", { waitTimeout: 5_000 })).held).toBe(true);
    });
  }

  test("is not mistaken for an outage: too few nodes is another error than a held key", async () => {
    const [holder, other] = await Promise.all([
      connectRedlock(nodes.urls),
      connectRedlock(nodes.urls),
    ]);
    await holder.acquire("account");
    expect(await failureOf(other.acquire("account"))).toBeInstanceOf(LockConflictError);
    expect(await other.tryAcquire("account")).toBeNull();
    nodes.pause(1);
    nodes.pause(2);

    expect(await failureOf(other.acquire("account"))).toBeInstanceOf(LockUnavailableError);
    expect(await failureOf(other.tryAcquire("account"))).toBeInstanceOf(LockUnavailableError);
  });
});
