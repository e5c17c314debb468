import type { Operation } from "../redis/operation.ts";
import { parseUnarmed, type UnarmedGuard } from "./acquire-operation.ts";
import { type Names, parseStoredLock, type StoredLock } from "./stored-lock.ts";

/** What one master stores about one key. */
export interface ReadReply {
  /** `undefined` when the key is free. */
  readonly holder: (StoredLock & { readonly expiresIn: number }) | undefined;
  /** The Redis type of a value that is not a string, and so no lock at all. */
  readonly foreignType: string | undefined;
  readonly mark: number;
  /** `armed`: it names this very server, and is sure; else why it gives no vote. */
  readonly guard: "armed" | UnarmedGuard;
  /** Milliseconds for which an armed master gives no vote yet; 0 when it votes. */
  readonly quarantine: number;
  /** The number of waiters. */
  readonly waiting: number;
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
  lua: `
  local mark = marksOf(keys[2])
  local kind = redis.call('TYPE', keys[1]).ok
  local value = kind == 'string' and redis.call('GET', keys[1]) or ''
  local waiting, first = waitersOf(argv[1], argv[2], argv[3], argv[4])
  local guard = guardOf(keys[3])
  local word = unarmed(guard) or 'armed'
  local quarantine = word == 'armed' and guard.ready > 0 and math.max(0, guard.ready - clockOf()) or 0
  return { 'OK', kind, string.sub(value, 1, 512), redis.call('PTTL', keys[1]), mark, waiting, first, word, quarantine }`,
  keys: ({ names, key }) => [names.lock(key), names.fence(key), names.guard],
  argv: ({ names, key, from = 0, count = SHOWN }) => [names.prefix, key, from, from + count - 1],
  parse([, kind, value, expiresIn, mark, waiting, first, guard, quarantine]) {
    return {
      holder:
        kind === "string"
          ? { ...parseStoredLock(String(value)), expiresIn: Number(expiresIn) }
          : undefined,
      foreignType: kind === "string" || kind === "none" ? undefined : String(kind),
      mark: Number(mark),
      guard: guard === "armed" ? guard : parseUnarmed(guard),
      quarantine: Number(quarantine),
      waiting: Number(waiting),
      first: parseFirst(first),
    };
  },
};

function parseFirst(raw: unknown): ReadReply["first"] {
  const parts = Array.isArray(raw) ? (raw as unknown[]) : [];
  return parts.flatMap((position, index) =>
    index % 2 === 0 ? [{ position: String(position), priority: Number(parts[index + 1]) }] : [],
  );
}

/** Where a walk begins. */
export const SCAN_START = "0";

/** One step through the names of a master. */
export interface Scanning {
  readonly names: Names;
  /** A glob for keys. */
  readonly pattern: string;
  /** Which names: those of keys with waiters, or of keys that are held. */
  readonly of: "wait lists" | "locks";
  readonly cursor: string;
}

/** What a step has found. */
export interface ScanReply {
  /** Where the next step begins; `undefined` after the last one. */
  readonly cursor: string | undefined;
  /** The keys, and the number of waiters of each; 0 in a walk through locks. A key may come twice. */
  readonly keys: readonly { readonly key: string; readonly waiting: number }[];
}

/** How many names a master examines in one step: about 0.2 ms of its time. */
const SCAN_STEP = 500;

/** Lists keys that match a glob pattern, in steps. */
export const scanOperation: Operation<Scanning, ScanReply> = {
  name: "scan",
  // Another program may have stored a value that is not a wait list under the name of one.
  lua: `
  local found = redis.call('SCAN', argv[1], 'MATCH', argv[2], 'COUNT', argv[3])
  local waiting = {}
  if argv[4] == 'wait lists' then
    for i, name in ipairs(found[2]) do waiting[i] = redis.pcall('ZCARD', name) end
    for i, count in ipairs(waiting) do waiting[i] = type(count) == 'number' and count or 0 end
  end
  return { 'OK', found[1], found[2], waiting }`,
  keys: () => [],
  argv: ({ names, pattern, of, cursor }) => [
    cursor,
    escapeGlob(prefixOf(names, of)) + pattern,
    SCAN_STEP,
    of,
  ],
  parse([, cursor, found, waiting], { names, of }) {
    const counts = Array.isArray(waiting) ? (waiting as unknown[]) : [];
    const prefix = prefixOf(names, of);
    const keys = (Array.isArray(found) ? (found as unknown[]) : []).map((name, index) => ({
      key: String(name).slice(prefix.length),
      waiting: Number(counts[index] ?? 0),
    }));
    return {
      cursor: String(cursor) === SCAN_START ? undefined : String(cursor),
      // What begins with `@` is no key.
      keys: keys.filter(({ key }) => key !== "" && !key.startsWith("@")),
    };
  },
};

function prefixOf(names: Names, of: Scanning["of"]): string {
  return of === "wait lists" ? names.waiters("") : names.lock("");
}

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, "\\$&");
}
