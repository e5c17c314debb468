import { Redlock } from "../../../dist/index.js";
import { type HoldTerms, type LockClient, MEASURED, PAIR_TTL, WAIT_TIMEOUT } from "../contender.ts";

/** Ours as users get it, built, with fencing tokens, guard and holder text. */
export function openOurs(urls: readonly string[], terms: HoldTerms = MEASURED): LockClient {
  const redlock = new Redlock({ nodes: [...urls], ttl: PAIR_TTL, restartGuard: "trust-new" });
  // Said once at the start; the number of masters is what is measured.
  redlock.on("warning", () => {});
  return {
    async acquire(key) {
      const lock = await redlock.acquire(key);
      return () => lock.release();
    },
    async waitFor(key) {
      const lock = await redlock.acquire(key, { waitTimeout: WAIT_TIMEOUT });
      return () => lock.release();
    },
    async hold(key) {
      const { ttl, heartbeat, patience } = terms;
      const lock = await redlock.acquire(key, { ttl, heartbeat, waitTimeout: patience });
      return {
        get lost() {
          return lock.signal.aborted;
        },
        release: () => lock.release(),
      };
    },
    storedName: (key) => `redlock:${key}`,
    close: () => redlock.close(),
  };
}
