import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { LockClient } from "./contender.ts";
import { CONTENDERS } from "./contenders.ts";

/** Pairs that run before anything is measured. */
const WARM_UP = 1_500;
/** Tasks that run them. */
const WARM_UP_TASKS = 32;

/** Opens a client of a contender, with all connections made and its code compiled. */
export async function openWarm(contender: string, urls: readonly string[]): Promise<LockClient> {
  const open = CONTENDERS[contender];
  if (open === undefined) throw new Error(`an unknown contender "${contender}"`);
  const client = open(urls);
  // Others warm up at the same time.
  const key = `warm-up:${randomUUID()}`;
  // Connections are made at once or at first use; after this all are there.
  await pair(client, key);
  await delay(200);
  const tasks = Array.from({ length: WARM_UP_TASKS }, async (_, task) => {
    for (let i = 0; i < WARM_UP / WARM_UP_TASKS; i++) await pair(client, `${key}:${task}`);
  });
  await Promise.all(tasks);
  for (let i = 0; i < 100; i++) await pair(client, key);
  return client;
}

/** Acquires a free key and gives it back. */
export async function pair(client: LockClient, key: string): Promise<void> {
  const release = await client.acquire(key);
  await release();
}
