import { Redis } from "ioredis";
import Redlock from "redlock";
import { HEARTBEAT, HELD_TTL, type LockClient, PAIR_TTL } from "../contender.ts";
import { openScope } from "./scope.ts";

/** `redlock` by its defaults, but that its waiters never give up and its heartbeat comes as often as ours. */
export function openRedlock(urls: readonly string[]): LockClient {
  const clients = urls.map((url) => new Redis(url));
  for (const client of clients) client.on("error", () => {});
  const redlock = new Redlock(clients, {
    retryCount: -1,
    automaticExtensionThreshold: HELD_TTL - HEARTBEAT,
  });
  redlock.on("error", () => {});
  const acquire: LockClient["acquire"] = async (key) => {
    const lock = await redlock.acquire([key], PAIR_TTL);
    return () => lock.release();
  };
  return {
    acquire,
    waitFor: acquire,
    hold: (key) => openScope((routine) => redlock.using([key], HELD_TTL, routine)),
    storedName: (key) => key,
    async close() {
      for (const client of clients) client.disconnect();
    },
  };
}
