import { Redis } from "ioredis";
import Redlock from "redlock";
import { type HoldTerms, type LockClient, MEASURED, PAIR_TTL, WAIT_TIMEOUT } from "../contender.ts";
import { openScope } from "./scope.ts";

/** Milliseconds between two attempts, by default. */
const RETRY_DELAY = 200;

/** `redlock` by its defaults, but that its waiters never give up and its heartbeat comes as often as ours. */
export function openRedlock(urls: readonly string[], terms: HoldTerms = MEASURED): LockClient {
  const clients = urls.map((url) => new Redis(url));
  for (const client of clients) client.on("error", () => {});
  const redlock = new Redlock(clients, {
    retryCount: terms.patience === WAIT_TIMEOUT ? -1 : Math.ceil(terms.patience / RETRY_DELAY),
    automaticExtensionThreshold: terms.ttl - terms.heartbeat,
  });
  redlock.on("error", () => {});
  const acquire: LockClient["acquire"] = async (key) => {
    const lock = await redlock.acquire([key], PAIR_TTL);
    return () => lock.release();
  };
  return {
    acquire,
    waitFor: acquire,
    hold: (key) => openScope((routine) => redlock.using([key], terms.ttl, routine)),
    storedName: (key) => key,
    async close() {
      for (const client of clients) client.disconnect();
    },
  };
}
