import { RedlockOn } from "../../src/redlock/redlock.ts";
import type { Redis } from "ioredis";
import { expect, onTestFinished } from "vitest";
import type { Clock } from "../../src/clock.ts";
import { Redlock, type Lock, type RedlockOptions } from "../../src/index.ts";
import { REAL_RUNTIME } from "../../src/redlock/make-context.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { waitFor } from "../support/wait-for.ts";

/** Short enough to see locks end, long enough for a shared machine. */
export const TTL = 800;
/** What a healthy node needs is under 1 ms; the rest is for a machine that is busy with other tests. */
export const NODE_TIMEOUT = 150;

/** Makes a client of the nodes that is closed when the test ends. A clock takes the place of the real one. */
export function makeRedlock(
  nodes: RedlockOptions["nodes"],
  options: RedlockOptions = {},
  clock?: Clock,
): Redlock {
  const all = {
    nodes: nodes ?? [],
    restartGuard: false,
    ttl: TTL,
    nodeTimeout: NODE_TIMEOUT,
    ...options,
  };
  const redlock =
    clock === undefined
      ? new Redlock(all)
      : new RedlockOn(all, {
          ...REAL_RUNTIME,
          clock,
        });
  // Even numbers of nodes are used on purpose.
  redlock.on("warning", () => undefined);
  onTestFinished(() => redlock.close());
  return redlock;
}

/** As {@link makeRedlock}, connected to all its nodes. */
export async function connectRedlock(
  nodes: RedlockOptions["nodes"],
  options: RedlockOptions = {},
  clock?: Clock,
): Promise<Redlock> {
  const redlock = makeRedlock(nodes, options, clock);
  await untilAllAnswer(redlock);
  return redlock;
}

/** Resolves when every node answers this client. */
export async function untilAllAnswer(redlock: Redlock): Promise<void> {
  await waitFor(
    async () => {
      const { nodes } = await redlock.inspect("nobody's key");
      for (const { state } of nodes) expect(state).toBe("free");
    },
    { interval: 20 },
  );
}

/** A proxy before each port, stopped when the test ends. */
export async function makeProxies(ports: readonly number[]): Promise<TcpProxy[]> {
  const proxies = await Promise.all(ports.map((port) => TcpProxy.start(port)));
  onTestFinished(async () => {
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  });
  return proxies;
}

/** Resolves when the lock's signal has aborted, with the reason. */
export async function untilAborted(lock: Lock): Promise<unknown> {
  if (!lock.signal.aborted) {
    await new Promise<void>((resolve) => {
      lock.signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
  return lock.signal.reason;
}

/** The stored values of a key, node by node. */
export async function valuesOf(
  clients: readonly Redis[],
  key: string,
  prefix = "redlock:",
): Promise<(string | null)[]> {
  return await Promise.all(clients.map((client) => client.get(`${prefix}${key}`)));
}

/** Resolves when no node stores the key any more, well before a ttl could have done it. */
export async function untilFreeEverywhere(clients: readonly Redis[], key: string): Promise<void> {
  await waitFor(async () => expect(await valuesOf(clients, key)).toEqual(clients.map(() => null)), {
    interval: 5,
  });
}

/** Resolves with what the nodes store when the last of them has the lock too: a grant waits for a quorum. */
export async function untilHeldEverywhere(
  clients: readonly Redis[],
  { keys: [key = ""], fencingToken }: Lock,
): Promise<(string | null)[]> {
  return await waitFor(
    async () => {
      const stored = await valuesOf(clients, key);
      for (const value of stored) expect(value).toMatch(`${fencingToken}:`);
      return stored;
    },
    { interval: 5 },
  );
}

/** Waits, for what can only be shown by time passing. */
export async function letPass(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Runs `work` and tells how many milliseconds it took. */
export async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const startedAt = performance.now();
  const value = await work();
  return { value, ms: performance.now() - startedAt };
}

/** What an operation threw. */
export async function failureOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error("expected a rejection");
}

/** How often a server has run some commands since its start, also those of scripts. */
export async function countCalls(client: Redis, ...commands: string[]): Promise<number> {
  const stats = await client.info("commandstats");
  const calls = [...stats.matchAll(/^cmdstat_(\w+):calls=(\d+)/gm)];
  return calls.reduce(
    (sum, [, command = "", count]) => (commands.includes(command) ? sum + Number(count) : sum),
    0,
  );
}

/** Who held a key, and when by this process's clock. */
export class Ledger {
  readonly entries: { holder: string; token: number; from: number; until: number }[] = [];

  /** Notes a lock at its grant; its entry ends at its abort, or with {@link end}. */
  begin(holder: string, lock: Lock): void {
    const entry = { holder, token: lock.fencingToken, from: performance.now(), until: Infinity };
    this.entries.push(entry);
    lock.signal.addEventListener("abort", () => this.end(lock), { once: true });
  }

  /** Ends the entry of a lock, if it has not ended; to be called before its release. */
  end(lock: Lock | undefined): void {
    const entry = this.entries.find(({ token }) => token === lock?.fencingToken);
    if (entry !== undefined) entry.until = Math.min(entry.until, performance.now());
  }

  /** Nobody held the key together with another, and later holders had larger tokens. */
  expectOneAtATime(): void {
    const sorted = this.entries.toSorted((a, b) => a.from - b.from);
    for (const [index, next] of sorted.entries()) {
      const previous = sorted[index - 1];
      if (previous === undefined) continue;
      expect(next.from, `${next.holder} after ${previous.holder}`).toBeGreaterThanOrEqual(
        previous.until,
      );
      expect(next.token).toBeGreaterThan(previous.token);
    }
  }
}
