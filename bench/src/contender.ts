/** Milliseconds that a lock of a pair lives: long against anything measured. */
export const PAIR_TTL = 15_000;
/** Milliseconds that a held lock lives without an extend. */
export const HELD_TTL = 6_000;
/** Milliseconds between two extends of a held lock. */
export const HEARTBEAT = 2_000;
/** Milliseconds after which nobody waits for a contended key any more. */
export const WAIT_TIMEOUT = 60_000;

/** Gives back what was acquired. */
export type Release = () => Promise<unknown>;

/** A lock that is extended every {@link HEARTBEAT} ms until it is given back. */
export interface Hold {
  /** Whether the library has said that the lock was lost. */
  readonly lost: boolean;
  release: Release;
}

/** What is measured of a library: the same five things of each. */
export interface LockClient {
  /** Locks a free key for {@link PAIR_TTL}; rejects when it is not granted. */
  acquire(key: string): Promise<Release>;
  /** Locks a key that others want too, in the way the library waits. */
  waitFor(key: string): Promise<Release>;
  /** Locks a free key for {@link HELD_TTL} and keeps it alive. */
  hold(key: string): Promise<Hold>;
  /** The name of the Redis key that stands for the lock. */
  storedName(key: string): string;
  close(): Promise<void>;
}

/** Opens a client of a library on the given masters. */
export type OpenClient = (urls: readonly string[]) => LockClient;
