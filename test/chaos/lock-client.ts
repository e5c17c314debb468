import type { Hold, HoldTerms } from "../../bench/src/contender.ts";
import { LockConflictError, LockUnavailableError, Redlock } from "../../src/index.ts";

/** Whose locks are tried, and how. */
export type Contender =
  | "bullmq-redlock"
  | "bullmq-redlock, restartGuard: false"
  | "no lock"
  | "redlock"
  | "redlock-universal"
  | "redis-semaphore";

/** What a worker process uses of a library. A lock that is not granted is `undefined`, anything else is thrown. */
export interface ChaosClient {
  hold(key: string): Promise<Hold | undefined>;
  close(): Promise<void>;
}

/** Milliseconds a master has to answer. */
export const NODE_TIMEOUT = 150;
/** Milliseconds by which clocks may differ: they are one. */
const SKEW_BUDGET = 500;

/** Opens a client of a contender; only what is used is loaded. */
export async function openClient(
  contender: Contender,
  urls: readonly string[],
  terms: HoldTerms,
): Promise<ChaosClient> {
  switch (contender) {
    case "bullmq-redlock":
      return openOurs(urls, terms, true);
    case "bullmq-redlock, restartGuard: false":
      return openOurs(urls, terms, false);
    case "no lock":
      return NO_LOCK;
    default:
      return await openPeer(contender, urls, terms);
  }
}

/** Makes a client of ours. */
export function makeOurs(urls: readonly string[], ttl: number, restartGuard: boolean): Redlock {
  return new Redlock({
    nodes: [...urls],
    ttl,
    restartGuard,
    nodeTimeout: NODE_TIMEOUT,
    clockSkewBudget: SKEW_BUDGET,
  });
}

function openOurs(
  urls: readonly string[],
  { ttl, heartbeat, patience }: HoldTerms,
  restartGuard: boolean,
): ChaosClient {
  const redlock = makeOurs(urls, ttl, restartGuard);
  return {
    async hold(key) {
      try {
        const lock = await redlock.acquire(key, {
          waitTimeout: patience,
          // Some locks live only as long as they were granted for.
          heartbeat: Math.random() < 0.8 && heartbeat,
        });
        return {
          get lost() {
            return !lock.held;
          },
          fencingToken: lock.fencingToken,
          remaining: () => lock.remaining(),
          release: () => lock.release(),
        };
      } catch (error) {
        if (error instanceof LockConflictError || error instanceof LockUnavailableError)
          return undefined;
        throw error;
      }
    },
    close: () => redlock.close(),
  };
}

const NO_LOCK: ChaosClient = {
  hold: () => Promise.resolve({ lost: false, release: () => Promise.resolve() }),
  close: () => Promise.resolve(),
};

/** Their packages are installed with the benchmark, and by nothing else. */
const PEERS = {
  redlock: async () => (await import("../../bench/src/contenders/redlock.ts")).openRedlock,
  "redlock-universal": async () =>
    (await import("../../bench/src/contenders/redlock-universal.ts")).openRedlockUniversal,
  "redis-semaphore": async () =>
    (await import("../../bench/src/contenders/redis-semaphore.ts")).openRedisSemaphore,
};

/** Whether a contender is another library. */
export function isPeer(contender: Contender): contender is keyof typeof PEERS {
  return contender in PEERS;
}

async function openPeer(
  name: keyof typeof PEERS,
  urls: readonly string[],
  terms: HoldTerms,
): Promise<ChaosClient> {
  const open = await PEERS[name]();
  const client = open(urls, terms);
  return {
    hold: async (key) => {
      try {
        return await client.hold(key);
      } catch {
        // Each has errors of its own for a lock that is not granted.
        return undefined;
      }
    },
    close: () => client.close(),
  };
}
