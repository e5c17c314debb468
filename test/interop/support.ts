import type { Redis } from "ioredis";
import { expect } from "vitest";
import type { Redlock, RedlockOptions } from "../../src/index.ts";
import { connectRedlock } from "../hazards/support.ts";

/** Where our key "account" is stored: what other programs lock. */
export const STORED = "redlock:account";

/** A client of ours on new nodes, guarded as in production. */
export async function connectOurs(
  nodes: { readonly redlockOptions: RedlockOptions },
  options: RedlockOptions = {},
): Promise<Redlock> {
  const { nodes: endpoints, ...rest } = nodes.redlockOptions;
  return await connectRedlock(endpoints, { ...rest, ...options });
}

/** What a node stores under a name, byte for byte, and until when. */
interface Stored {
  /** `undefined` when there is no such key. */
  readonly value: string | undefined;
  /** Milliseconds since 1970 by the node's clock; `undefined` when it does not expire. */
  readonly expiresAt: number | undefined;
}

const READ = `
local time, rest = redis.call('TIME'), redis.call('PTTL', KEYS[1])
return { redis.call('GET', KEYS[1]), rest, time[1] * 1000 + math.floor(time[2] / 1000) + rest }`;

/** Servers before Redis 7 say only how long is left, in a script by a clock of their own. */
const READING_ERROR = 20;

/** What all nodes store under a name. */
export async function storedUnder(
  clients: readonly Redis[],
  name = STORED,
): Promise<readonly Stored[]> {
  return await Promise.all(
    clients.map(async (client) => {
      const [value, rest, expiresAt] = (await client.callBuffer("EVAL", READ, 1, name)) as [
        Buffer | null,
        number,
        number,
      ];
      return {
        value: value?.toString("latin1"),
        expiresAt: rest < 0 ? undefined : expiresAt,
      };
    }),
  );
}

/** Runs `work` and checks that it left what is stored under a name, and its expiry, as they were. */
export async function expectUntouched(
  clients: readonly Redis[],
  work: () => Promise<unknown>,
  name = STORED,
): Promise<void> {
  const before = await storedUnder(clients, name);
  await work();
  const after = await storedUnder(clients, name);
  expect(after.map(({ value }) => value)).toEqual(before.map(({ value }) => value));
  for (const [node, { expiresAt }] of before.entries()) {
    const now = after[node]?.expiresAt;
    if (expiresAt === undefined || now === undefined) expect(now).toBe(expiresAt);
    else expect(Math.abs(now - expiresAt)).toBeLessThan(READING_ERROR);
  }
}
