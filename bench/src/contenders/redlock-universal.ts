import { Redis } from "ioredis";
import { createRedlock, IoredisAdapter } from "redlock-universal";
import { type HoldTerms, type LockClient, MEASURED, PAIR_TTL, WAIT_TIMEOUT } from "../contender.ts";
import { openScope } from "./scope.ts";

/** The part of the ttl after which the library extends; it can not be set. */
const EXTENDS_AFTER = 0.8;
/** Milliseconds between two attempts, by default. */
const RETRY_DELAY = 200;

/** `redlock-universal` by its defaults; its held locks have, unless said otherwise, the ttl at which it extends as often as ours. */
export function openRedlockUniversal(
  urls: readonly string[],
  terms: HoldTerms = { ...MEASURED, ttl: MEASURED.heartbeat / EXTENDS_AFTER },
): LockClient {
  const clients = urls.map((url) => new Redis(url));
  for (const client of clients) client.on("error", () => {});
  const adapters = clients.map((client) => new IoredisAdapter(client));
  const lockOf = (key: string, ttl: number, retryAttempts: number) =>
    createRedlock({ adapters, key, ttl, retryAttempts });
  return {
    async acquire(key) {
      const lock = lockOf(key, PAIR_TTL, 0);
      const handle = await lock.acquire();
      return () => lock.release(handle);
    },
    async waitFor(key) {
      // By default it gives up after three times 200 ms.
      const lock = lockOf(key, PAIR_TTL, WAIT_TIMEOUT / RETRY_DELAY);
      const handle = await lock.acquire();
      return () => lock.release(handle);
    },
    hold(key) {
      const lock = lockOf(key, terms.ttl, Math.ceil(terms.patience / RETRY_DELAY));
      return openScope((routine) => lock.using(routine));
    },
    storedName: (key) => key,
    async close() {
      for (const client of clients) client.disconnect();
    },
  };
}
