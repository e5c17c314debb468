import { listOf, type Operation, pairsOf } from "../redis/operation.ts";
import { parseUnarmed, type UnarmedGuard } from "./acquire-operation.ts";
import { REPORTED_LIMIT_AGE } from "./lock-lua.ts";
import { type Names, parseStoredLock, type StoredLock } from "./stored-lock.ts";

/** What one master stores about one key. */
export interface ReadReply {
  /** `undefined` when the key is free. */
  readonly holder: (StoredLock & { readonly expiresIn: number }) | undefined;
  /** The Redis type of a value that is not a string, and so no lock at all. */
  readonly foreignType: string | undefined;
  /** The largest limit that clients use the key with; 1 without one. */
  readonly limit: number;
  /** The largest limit that the master knows of: a slot above `limit` may still have a holder. */
  readonly slots: number;
  readonly mark: number;
  /** `armed`: it names this very server, and is sure; else why it gives no vote. */
  readonly guard: "armed" | UnarmedGuard;
  /** Milliseconds for which an armed master gives no vote yet; 0 when it votes. */
  readonly quarantine: number;
  /** The longest ttl for which an armed master votes; else 0. */
  readonly agreedTtl: number;
  /** The number of waiters. */
  readonly waiting: number;
  /** The reservation of the free key; `undefined` when there is none. */
  readonly reservation:
    | { readonly position: string; readonly forRetry: boolean; readonly expiresIn: number }
    | undefined;
  /** The waiters that were asked for. */
  readonly first: readonly { readonly position: string; readonly priority: number }[];
}

/** How many waiters are shown by default. */
const SHOWN = 20;

/** What is read. */
export interface Reading {
  readonly names: Names;
  readonly key: string;
  /** How many waiters are left out at the front. @defaultValue 0 */
  readonly from?: number;
  /** How many waiters are shown. @defaultValue 20 */
  readonly count?: number;
}

/** Reads one key, and changes nothing. */
export const readOperation: Operation<Reading, ReadReply> = {
  name: "read",
  looks: true,
  lua: `
  local mark = marksOf(keys[2])
  local kind = redis.call('TYPE', keys[1]).ok
  local value = kind == 'string' and redis.call('GET', keys[1]) or ''
  local waiting, first, reserved = waitersOf(argv[1], argv[2], argv[3], argv[4])
  local guard = guardOf(keys[3])
  local word = unarmed(guard) or 'armed'
  local quarantine = word == 'armed' and quarantineOf(guard) or 0
  return { 'OK', kind, string.sub(value, 1, 512), redis.call('PTTL', keys[1]), mark, waiting, first, word, quarantine,
    redis.call('ZRANGE', keys[4], 0, -1, 'WITHSCORES'), reserved, word == 'armed' and guard.agreed or 0 }`,
  keys: ({ names, key }) => [names.lock(key), names.fence(key), names.guard, names.limits(key)],
  argv: ({ names, key, from = 0, count = SHOWN }) => [names.prefix, key, from, from + count - 1],
  parse([, kind, value, expiresIn, mark, waiting, first, guard, quarantine, ...rest]) {
    const [limits, reserved, agreedTtl] = rest;
    return {
      ...parseContent(kind, value, expiresIn),
      ...readLimits(pairsOf(limits)),
      mark: Number(mark),
      guard: guard === "armed" ? guard : parseUnarmed(guard),
      quarantine: Number(quarantine),
      agreedTtl: Number(agreedTtl),
      waiting: Number(waiting),
      reservation: parseReserved(reserved),
      first: pairsOf(first).map(([position, priority]) => ({
        position: String(position),
        priority: Number(priority),
      })),
    };
  },
};

/** What is stored under the name of a lock. */
export type Content = Pick<ReadReply, "holder" | "foreignType">;

/** Reads the Redis type, the value and the remaining ms of a lock. */
export function parseContent(kind: unknown, value: unknown, expiresIn: unknown): Content {
  return {
    holder:
      kind === "string"
        ? { ...parseStoredLock(String(value)), expiresIn: Number(expiresIn) }
        : undefined,
    foreignType: kind === "string" || kind === "none" ? undefined : String(kind),
  };
}

function parseReserved(raw: unknown): ReadReply["reservation"] {
  const [position, forRetry, expiresIn] = listOf(raw);
  if (typeof position !== "string") return undefined;
  return { position, forRetry: Number(forRetry) === 1, expiresIn: Number(expiresIn) };
}

/**
 * Reads when clients have used a key with each limit, by the clock of one master. A limit that was used shortly before the last
 * use counts: a deployment that changes it is under way.
 */
export function readLimits(limits: Iterable<readonly [limit: unknown, at: unknown]>): {
  readonly limit: number;
  readonly slots: number;
} {
  const uses = Array.from(limits, ([limit, at]) => ({ limit: Number(limit), at: Number(at) }));
  const last = Math.max(...uses.map(({ at }) => at));
  const current = uses.filter(({ at }) => at > last - REPORTED_LIMIT_AGE);
  const largest = (of: typeof uses): number => Math.max(1, ...of.map(({ limit }) => limit));
  return { limit: largest(current), slots: largest(uses) };
}
