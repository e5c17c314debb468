import { execFile } from "node:child_process";
import { getEventListeners } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { LockLostError, type RedlockEvents, type RedlockWarning } from "../../src/index.ts";
import { bundled } from "../support/bundle.ts";
import { redisClient, redisClients, useRedisNodes } from "../support/redis.ts";
import {
  connectRedlock,
  countCalls,
  failureOf,
  letPass,
  makeProxies,
  makeRedlock,
  TTL,
  untilAborted,
  untilFreeEverywhere,
} from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const nodes = useRedisNodes(3);

const EVENTS = [
  "acquired",
  "conflict",
  "extended",
  "lost",
  "released",
  "node:up",
  "node:down",
] as const satisfies (keyof RedlockEvents)[];

/** How many entries the collections inside a signal have: listeners, and the signals that depend on it. */
function entriesOf(signal: AbortSignal): number {
  const inside = signal as unknown as Record<symbol, unknown>;
  return Object.getOwnPropertySymbols(signal)
    .map((symbol) => inside[symbol])
    .reduce<number>((sum, value) => {
      return value instanceof Map || value instanceof Set ? sum + value.size : sum;
    }, getEventListeners(signal, "abort").length);
}

function activeTimers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
}

/** Waits without a timer of its own, which would be counted. */
async function untilTimersAreBackAt(count: number): Promise<void> {
  const patience = performance.now() + 5_000;
  while (activeTimers() > count && performance.now() < patience) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(activeTimers()).toBeLessThanOrEqual(count);
}

describe("after close()", () => {
  test("no connection and no timer is left", async () => {
    const proxies = await makeProxies(nodes.ports);
    const timers = activeTimers();
    const redlock = await connectRedlock(proxies.map(({ url }) => url));
    await redlock.acquire("account");
    await redlock.acquire("account", { waitTimeout: 150 }).catch(() => undefined);
    expect(proxies.map(({ connections }) => connections)).not.toContain(0);

    await redlock.close();

    await waitFor(() => {
      expect(proxies.map(({ connections }) => connections)).toEqual([0, 0, 0]);
    });
    await untilTimersAreBackAt(timers);
  });

  test("nothing reconnects to a node that was down", async () => {
    const proxies = await makeProxies(nodes.ports);
    for (const proxy of proxies) proxy.refuse();
    const redlock = makeRedlock(proxies.map(({ url }) => url));
    await failureOf(redlock.acquire("account"));

    await redlock.close();
    for (const proxy of proxies) proxy.refuse(false);
    // Longer than the longest pause between two attempts.
    await letPass(1_200);

    expect(proxies.map(({ connections }) => connections)).toEqual([0, 0, 0]);
  });

  const run = promisify(execFile);
  const program = join(import.meta.dirname, "programs", "use-and-close.ts");
  const use = async (): Promise<{ stdout: string; stderr: string }> => {
    const args = [await bundled(program), ...nodes.urls];
    return await run(process.execPath, args, { timeout: 20_000 });
  };

  test("the process ends by itself", async () => {
    const { stdout, stderr } = await use();

    expect(stdout).toBe("closed\n");
    expect(stderr).toBe("");
  });

  test("the process ends by itself although a node hangs", async () => {
    nodes.pause(1);

    const { stdout } = await use();

    expect(stdout).toBe("closed\n");
  });
});

describe("2,000 locks under one shared signal", () => {
  test("leave nothing on it, and no timer", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 5_000, nodeTimeout: 700 });
    const { signal } = new AbortController();
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on("warning", note);
    onTestFinished(() => void process.off("warning", note));
    const before = { entries: entriesOf(signal), timers: activeTimers() };

    await Promise.all(
      Array.from({ length: 50 }, async (_, chain) => {
        for (let reservation = 0; reservation < 40; reservation++) {
          const lock = await redlock.acquire(`account:${chain}`, { signal });
          await lock.release();
        }
      }),
    );

    expect(entriesOf(signal)).toBe(before.entries);
    await untilTimersAreBackAt(before.timers);
    expect(warnings).toEqual([]);
  });

  test("leave nothing on it when they had to wait, and one subscription (M3)", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 5_000, nodeTimeout: 700 });
    const { signal } = new AbortController();
    const before = entriesOf(signal);
    const conflicts: unknown[] = [];
    redlock.on("conflict", (conflict) => void conflicts.push(conflict));
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on("warning", note);
    onTestFinished(() => void process.off("warning", note));

    const outcomes = await Promise.all(
      Array.from({ length: 30 }, async () => {
        const lock = await redlock.acquire("account", { signal, waitTimeout: 25_000 });
        await lock.release();
        return lock.fencingToken;
      }),
    );

    expect(new Set(outcomes).size).toBe(30);
    // However often a waiter looks, it is one conflict, and it remembers none of its looks.
    expect(conflicts.length).toBeLessThan(30);
    expect(entriesOf(signal)).toBe(before);
    expect(warnings).toEqual([]);
    // One for all keys, as long as the client is open.
    const channels = async (): Promise<unknown[]> =>
      await Promise.all(
        redisClients(nodes).map(async (client) => await client.pubsub("CHANNELS", "*")),
      );
    const [first] = await channels();
    expect(first).toEqual([expect.stringMatching(/^redlock:@wake:/)]);
    await redlock.close();
    await waitFor(async () => expect((await channels()).flat()).toEqual([]));
  });
});

describe("listeners that throw (R12)", () => {
  test("harm no lock, and are told about as warnings", async () => {
    const redlock = makeRedlock(nodes.urls, { ttl: 600 });
    const rival = await connectRedlock(nodes.urls);
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", note);
    process.on("uncaughtException", note);
    onTestFinished(() => {
      process.off("unhandledRejection", note);
      process.off("uncaughtException", note);
    });
    const warnings: RedlockWarning[] = [];
    redlock.removeAllListeners("warning");
    redlock.on("warning", (warning) => {
      warnings.push(warning);
      if (warnings.length === 1) throw new Error("a warning listener that throws");
    });
    const seen = new Set<string>();
    for (const event of EVENTS) {
      redlock.on(event, () => {
        seen.add(event);
        throw new Error(`a listener of ${event}`);
      });
      redlock.on(event, () => Promise.reject(new Error(`an async listener of ${event}`)));
    }
    const processWarnings = new Promise((resolve) => process.once("warning", resolve));

    const lock = await redlock.acquire("account");
    await lock.extend();
    expect(await rival.tryAcquire("account")).toBeNull();
    expect(await lock.release()).toBe("released");
    const theirs = await rival.acquire("account");
    expect(await redlock.tryAcquire("account")).toBeNull();
    await theirs.release();
    const lost = await redlock.acquire("account", { heartbeat: false });
    expect(await untilAborted(lost)).toBeInstanceOf(LockLostError);
    await lost.release();
    await nodes.kill(0);
    await waitFor(() => expect(seen).toEqual(new Set(EVENTS)));

    expect((await redlock.acquire("after all this")).held).toBe(true);
    expect(warnings.map(({ code }) => code)).toContain("listener-failed");
    // A warning about the warning listener goes to the process.
    expect(await processWarnings).toMatchObject({ code: "listener-failed" });
    expect(unhandled).toEqual([]);
  });
});

describe("requests and attempts without end (R9, U4)", () => {
  test("do not come from a short ttl: a lock costs a few calls a second", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 600 });
    const clients = redisClients(nodes);
    const before = await Promise.all(clients.map((client) => countCalls(client, "evalsha")));
    const lock = await redlock.acquire("account");
    await letPass(1_000);
    await lock.release();

    for (const [index, client] of clients.entries()) {
      const calls = (await countCalls(client, "evalsha")) - before[index]!;
      // Every 200 ms a beat, so about six; 135,288 in 3 s were measured elsewhere.
      expect(calls).toBeLessThan(30);
    }
    expect(lock.signal.aborted).toBe(false);
  });

  test("do not come from waiters", async () => {
    const [holder, waiters] = await Promise.all([
      connectRedlock(nodes.urls, { ttl: 5_000 }),
      connectRedlock(nodes.urls, { ttl: 5_000 }),
    ]);
    await holder.acquire("account");
    const [client] = redisClients(nodes);
    const before = await countCalls(client!, "evalsha");

    await Promise.all(
      Array.from({ length: 20 }, () => waiters.tryAcquire("account", { waitTimeout: 1_000 })),
    );

    // Looks after 50, 100, 200 ... ms: about six each, twice as many with their rollbacks.
    expect((await countCalls(client!, "evalsha")) - before).toBeLessThan(20 * 20);
  });

  test("do not come from dead nodes: the process stays idle and the loss is told once", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: TTL });
    const lock = await redlock.acquire("account");
    let lost = 0;
    let downs = 0;
    redlock.on("lost", () => (lost += 1));
    redlock.on("node:down", () => (downs += 1));
    await Promise.all([0, 1, 2].map((index) => nodes.kill(index)));
    const load = performance.eventLoopUtilization();

    await untilAborted(lock);
    await letPass(500);

    // A spinning loop is busy all the time; 1,531 ms without a break were measured elsewhere.
    expect(performance.eventLoopUtilization(load).utilization).toBeLessThan(0.8);
    expect(lost).toBe(1);
    expect(downs).toBeLessThan(60);
    expect(await failureOf(lock.extend())).toBeInstanceOf(LockLostError);
  });

  test("do not come from an extend of a closed Redlock", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const lock = await redlock.acquire("account");
    await redlock.close();
    const client = redisClient(nodes.urls[0]!);
    await untilFreeEverywhere([client], "account");

    expect(await failureOf(lock.extend())).toBeInstanceOf(LockLostError);
    expect(lock.held).toBe(false);
    expect(await client.get("redlock:account")).toBeNull();
  });
});
