import { Redis } from "ioredis";
import { RedlockMutex } from "redis-semaphore";
import { type HoldTerms, type LockClient, MEASURED, PAIR_TTL, WAIT_TIMEOUT } from "../contender.ts";

/** `redis-semaphore` by its defaults; a pair has no heartbeat, a held lock one as often as ours. */
export function openRedisSemaphore(
  urls: readonly string[],
  terms: HoldTerms = MEASURED,
): LockClient {
  const clients = urls.map((url) => new Redis(url));
  for (const client of clients) client.on("error", () => {});
  const acquire: LockClient["acquire"] = async (key) => {
    const mutex = new RedlockMutex(clients, key, {
      lockTimeout: PAIR_TTL,
      acquireTimeout: WAIT_TIMEOUT,
      refreshInterval: 0,
    });
    await mutex.acquire();
    return () => mutex.release();
  };
  return {
    acquire,
    waitFor: acquire,
    async hold(key) {
      let lost = false;
      const mutex = new RedlockMutex(clients, key, {
        lockTimeout: terms.ttl,
        acquireTimeout: terms.patience,
        refreshInterval: terms.heartbeat,
        onLockLost: () => {
          lost = true;
        },
      });
      await mutex.acquire();
      return {
        get lost() {
          return lost;
        },
        release: () => mutex.release(),
      };
    },
    storedName: (key) => `mutex:${key}`,
    async close() {
      for (const client of clients) client.disconnect();
    },
  };
}
