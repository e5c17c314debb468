import { expect, onTestFinished, test } from "vitest";
import {
  LockConflictError,
  LockLostError,
  LockUnavailableError,
  type Lock,
  type Redlock,
} from "../../src/index.ts";
import {
  connectRedlock,
  letPass,
  Ledger,
  makeProxies,
  untilAllAnswer,
} from "../hazards/support.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import type { TcpProxy } from "../support/tcp-proxy.ts";

const nodes = useRedisNodes(3, { persistence: "always" });
const CLIENTS = 4;
const KEYS = ["account:1", "account:2"];
const DURATION = 4_000;
const TTL = 800;

/** Numbers from 0 to 1, the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Ends what is wrong with a link. */
function mend(proxy: TcpProxy): void {
  // Bytes that were dropped leave a stream that nobody can read.
  if (proxy.replies.mode === "drop" || proxy.requests.mode === "drop") proxy.cut();
  proxy.resetAfterReplyBytes(Infinity);
  proxy.requests.pass();
  proxy.replies.pass();
}

test("a key has one holder at a time, with growing tokens, whatever nodes and network do", async ({
  annotate,
}) => {
  const seed = Number(process.env["CHAOS_SEED"] ?? Date.now() % 1_000_000);
  await annotate(`CHAOS_SEED=${seed} repeats these faults`);
  const random = seeded(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;

  const links = await Promise.all(Array.from({ length: CLIENTS }, () => makeProxies(nodes.ports)));
  const clients = await Promise.all(
    links.map((proxies) =>
      connectRedlock(
        proxies.map(({ url }) => url),
        { ttl: TTL, nodeTimeout: 80 },
      ),
    ),
  );
  const ledgers = new Map(KEYS.map((key) => [key, new Ledger()]));
  const unexpected: unknown[] = [];
  const over = new AbortController();

  const work = async (redlock: Redlock, name: string): Promise<void> => {
    while (!over.signal.aborted) {
      const key = pick(KEYS);
      let lock: Lock | undefined;
      try {
        lock = await redlock.acquire(key, { waitTimeout: 500, holder: name });
        ledgers.get(key)!.begin(name, lock);
        await letPass(random() * (random() < 0.1 ? 2 * TTL : 40));
        if (random() < 0.3 && lock.held) await lock.extend();
      } catch (error) {
        const expected =
          error instanceof LockConflictError ||
          error instanceof LockUnavailableError ||
          error instanceof LockLostError;
        if (!expected) unexpected.push(error);
        await letPass(10);
      }
      if (lock !== undefined) {
        ledgers.get(key)!.end(lock);
        await lock.release();
      }
    }
  };

  const faults = {
    cut: (proxy: TcpProxy) => proxy.cut(),
    strand: (proxy: TcpProxy) => proxy.strand(),
    loseReplies: (proxy: TcpProxy) => proxy.replies.drop(),
    loseRequests: (proxy: TcpProxy) => proxy.requests.drop(),
    holdRequests: (proxy: TcpProxy) => proxy.requests.hold(),
    holdReplies: (proxy: TcpProxy) => proxy.replies.hold(),
    delay: (proxy: TcpProxy) => proxy.requests.pass(random() * 120),
    tear: (proxy: TcpProxy) => proxy.resetAfterReplyBytes(random() * 40),
  } satisfies Record<string, (proxy: TcpProxy) => void>;
  const trouble = async (): Promise<void> => {
    const admins = redisClients(nodes);
    const end = performance.now() + DURATION;
    while (performance.now() < end) {
      const proxy = pick(pick(links));
      const node = Math.floor(random() * 3);
      const dice = random();
      if (dice < 0.3) faults[pick(Object.keys(faults) as (keyof typeof faults)[])](proxy);
      else if (dice < 0.85) mend(proxy);
      else if (dice < 0.9) admins[node]!.script("FLUSH").catch(() => undefined);
      else if (dice < 0.97) {
        nodes.pause(node);
        await letPass(random() * 300);
        nodes.resume(node);
      } else await nodes.restart(node, { empty: false });
      await letPass(random() * 30);
    }
  };
  onTestFinished(() => over.abort());

  const workers = clients.flatMap((redlock, index) => [
    work(redlock, `${index}a`),
    work(redlock, `${index}b`),
  ]);
  await trouble();
  over.abort();
  await Promise.all(workers);
  for (const proxy of links.flat()) {
    mend(proxy);
    // A connection that died silently would be noticed after ten seconds only.
    proxy.cut();
  }

  expect(unexpected).toEqual([]);
  for (const ledger of ledgers.values()) {
    ledger.expectOneAtATime();
  }
  const grants = [...ledgers.values()].flatMap(({ entries }) => entries);
  expect(grants.length).toBeGreaterThan(10);
  // Nothing is to be cleaned up by hand: every key is free within a ttl.
  await Promise.all(clients.map(untilAllAnswer));
  for (const key of KEYS) {
    const lock = await clients[0]!.acquire(key, { waitTimeout: 10 * TTL });
    await lock.release();
  }
});
