/** Milliseconds that a lock of a pair lives: long against anything measured. */
export const PAIR_TTL = 15_000;
/** Milliseconds that a held lock lives without an extend. */
export const HELD_TTL = 6_000;
/** Milliseconds between two extends of a held lock. */
export const HEARTBEAT = 2_000;
/** Milliseconds after which nobody waits for a contended key any more. */
export const WAIT_TIMEOUT = 60_000;

/** How locks are held, in ms. */
export interface HoldTerms {
  /** A held lock lives for so long without an extend. */
  readonly ttl: number;
  /** Between two extends. */
  readonly heartbeat: number;
  /** For how long a taken key is waited for. */
  readonly patience: number;
}

/** What is measured: nobody else wants the held keys. */
export const MEASURED: HoldTerms = { ttl: HELD_TTL, heartbeat: HEARTBEAT, patience: WAIT_TIMEOUT };

/** Gives back what was acquired. */
export type Release = () => Promise<unknown>;

/** A lock that is extended until it is given back. */
export interface Hold {
  /** Whether the library has said that the lock was lost. */
  readonly lost: boolean;
  /** Where the library has one. */
  readonly fencingToken?: number;
  /** Milliseconds until the library ends the lock if nothing is extended any more, where it tells. */
  remaining?(): number;
  release: Release;
}

/** What is measured of a library: the same five things of each. */
export interface LockClient {
  /** Locks a free key for {@link PAIR_TTL}; rejects when it is not granted. */
  acquire(key: string): Promise<Release>;
  /** Locks a key that others want too, in the way the library waits. */
  waitFor(key: string): Promise<Release>;
  /** Locks a key by the {@link HoldTerms}, and keeps it alive. */
  hold(key: string): Promise<Hold>;
  /** The name of the Redis key that stands for the lock. */
  storedName(key: string): string;
  close(): Promise<void>;
}

/** Opens a client of a library on the given masters. */
export type OpenClient = (urls: readonly string[], terms?: HoldTerms) => LockClient;
