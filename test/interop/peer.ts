import type { Redis } from "ioredis";
import PackagedRedlock, { ExecutionError, Lock as PackagedLock } from "redlock";
import { DIALECTS, type Dialect } from "./dialects.ts";

/** A lock of another program; each verb says whether a quorum agreed. */
export interface PeerLock {
  readonly value: string;
  extend(ttl: number): Promise<boolean>;
  release(): Promise<boolean>;
}

/** Another program that locks on the same masters, by full stored names. */
export interface Peer {
  readonly canExtend: boolean;
  /** One try. */
  tryLock(names: string[], ttl: number): Promise<PeerLock | undefined>;
  /** What it would do with a lock of that value, whether it has it or not. */
  lockOf(names: string[], value: string): PeerLock;
}

/** Every program that is tried, by name. */
export const PEERS: Readonly<Record<string, (clients: readonly Redis[]) => Peer>> = {
  ...Object.fromEntries(
    DIALECTS.map((dialect) => [
      dialect.name,
      (clients: readonly Redis[]) => speak(dialect, clients),
    ]),
  ),
  "redlock@5.0.0-beta.2": packagedPeer,
};

/** The published algorithm over all masters, in one program's dialect. */
export function speak(dialect: Dialect, clients: readonly Redis[]): Peer {
  const quorum = Math.floor(clients.length / 2) + 1;
  const byQuorum = async (ask: (client: Redis) => Promise<boolean>): Promise<boolean> => {
    const votes = await Promise.all(clients.map((client) => ask(client)));
    return votes.filter(Boolean).length >= quorum;
  };
  const lockOf = (names: string[], value: string): PeerLock => ({
    value,
    extend: async (ttl) =>
      await byQuorum(
        async (client) => (await dialect.extend?.(client, names, value, ttl)) === true,
      ),
    release: async () =>
      await byQuorum(async (client) => await dialect.release(client, names, value)),
  });
  return {
    canExtend: dialect.extend !== undefined,
    lockOf,
    tryLock: async (names, ttl) => {
      const lock = lockOf(names, dialect.newValue());
      const startedAt = performance.now();
      const won = await byQuorum(
        async (client) => await dialect.take(client, names, lock.value, ttl),
      );
      const drift = Math.ceil(ttl * 0.01) + 2;
      if (won && performance.now() - startedAt < ttl - drift) return lock;
      await lock.release();
      return undefined;
    },
  };
}

/** The real package. */
export function packagedPeer(clients: readonly Redis[]): Peer {
  const redlock = new PackagedRedlock(clients, { retryCount: 0 });
  return {
    canExtend: true,
    lockOf: (names, value) =>
      wrap(new PackagedLock(redlock, names, value, [], Date.now() + 60_000)),
    tryLock: async (names, ttl) => {
      const lock = await agreed(redlock.acquire(names, ttl));
      return lock && wrap(lock);
    },
  };
}

function wrap(lock: PackagedLock): PeerLock {
  return {
    value: lock.value,
    extend: async (ttl) => (await agreed(lock.extend(ttl))) !== undefined,
    release: async () => (await agreed(lock.release())) !== undefined,
  };
}

/** `undefined` when there was no quorum. */
async function agreed<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ExecutionError) return undefined;
    throw error;
  }
}
