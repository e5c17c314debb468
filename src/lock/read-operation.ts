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

/** How far a walk through the names of locks, and of wait lists, has come. A part that is complete is `undefined`. */
export interface ScanCursors {
  readonly locks: string | undefined;
  readonly waitLists: string | undefined;
}

/** Where a walk begins. */
export const SCAN_START: ScanCursors = { locks: "0", waitLists: "0" };

/** One step through the names of all locks and wait lists of a master. */
export interface ScanReply {
  /** Where the next step begins. */
  readonly cursors: ScanCursors;
  /** Keys that are held, or have waiters. */
  readonly keys: readonly string[];
}

/** How many names a master examines in one step, of locks and of wait lists: about 0.1 ms of its time each. */
const SCAN_STEP = 250;

/**
 * Lists keys that match a glob pattern, in steps: keys that are held, and keys that have waiters. A key may come twice.
 */
export const scanOperation: Operation<
  { readonly names: Names; readonly pattern: string; readonly cursors: ScanCursors },
  ScanReply
> = {
  name: "scan",
  // A glob has no alternatives: locks and wait lists are two walks, with a cursor each.
  lua: `
  local reply = { 'OK' }
  for i = 1, 3, 2 do
    if argv[i] == '' then
      reply[i + 1], reply[i + 2] = '0', {}
    else
      local found = redis.call('SCAN', argv[i], 'MATCH', argv[i + 1], 'COUNT', argv[5])
      reply[i + 1], reply[i + 2] = found[1], found[2]
    end
  end
  return reply`,
  keys: () => [],
  argv: ({ names, pattern, cursors: { locks, waitLists } }) => [
    locks ?? "",
    escapeGlob(names.lock("")) + pattern,
    waitLists ?? "",
    escapeGlob(names.waiters("")) + pattern,
    SCAN_STEP,
  ],
  parse([, locks, stored, waitLists, awaited], { names }) {
    return {
      cursors: { locks: parseCursor(locks), waitLists: parseCursor(waitLists) },
      keys: [...keysOf(stored, names.lock("")), ...keysOf(awaited, names.waiters(""))],
    };
  },
};

function parseCursor(raw: unknown): string | undefined {
  return String(raw) === "0" ? undefined : String(raw);
}

/** The keys in names that begin with a prefix; what begins with `@` is no key. */
function keysOf(found: unknown, prefix: string): string[] {
  return (Array.isArray(found) ? found : [])
    .map((name) => String(name).slice(prefix.length))
    .filter((key) => key !== "" && !key.startsWith("@"));
}

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, "\\$&");
}
