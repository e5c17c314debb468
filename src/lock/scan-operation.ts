import { listOf, type Operation } from "../redis/operation.ts";
import { globOf } from "./glob.ts";
import { keyOfSlot, SLOT } from "./slots.ts";
import type { Names } from "./stored-lock.ts";

/** Where a walk begins. */
export const SCAN_START = "0";

/** One step through the names of a master. */
export interface Scanning {
  readonly names: Names;
  /** A glob for keys. */
  readonly pattern: string;
  /** Which names: those of keys with waiters, of keys that are held, or of their slots above 0. */
  readonly of: "wait lists" | "locks" | "slots";
  readonly cursor: string;
}

/** What a step has found. */
export interface ScanReply {
  /** Where the next step begins; `undefined` after the last one. */
  readonly cursor: string | undefined;
  /** The keys, and the number of waiters of each; 0 in other walks. A key may come twice. */
  readonly keys: readonly { readonly key: string; readonly waiting: number }[];
}

/** How many names a master examines in one step: about 0.2 ms of its time. */
const SCAN_STEP = 500;

/** Lists keys that match a glob pattern, in steps. */
export const scanOperation: Operation<Scanning, ScanReply> = {
  name: "scan",
  looks: true,
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
    escapeGlob(prefixOf(names, of)) + (of === "slots" ? `*:${pattern}` : pattern),
    SCAN_STEP,
    of,
  ],
  parse([, cursor, found, waiting], { names, pattern, of }) {
    const counts = listOf(waiting);
    // The glob may match a part of the key as the number of the slot.
    const matches = of === "slots" ? globOf(pattern) : () => true;
    const keys = listOf(found).flatMap((name, index) => {
      const key = keyIn(String(name), names, of);
      return key !== undefined && matches(key) ? { key, waiting: Number(counts[index] ?? 0) } : [];
    });
    return { cursor: String(cursor) === SCAN_START ? undefined : String(cursor), keys };
  },
};

/** What the names of a walk begin with. */
export function prefixOf(names: Names, of: Scanning["of"]): string {
  if (of === "slots") return names.lock(SLOT);
  return of === "wait lists" ? names.waiters("") : names.lock("");
}

/** The key in a name that a walk has found; `undefined` where it is none. What begins with `@` is no key. */
export function keyIn(name: string, names: Names, of: Scanning["of"]): string | undefined {
  const rest = name.slice((of === "slots" ? names.lock("") : prefixOf(names, of)).length);
  const key = of === "slots" ? keyOfSlot(rest) : rest;
  return key === "" || key.startsWith("@") ? undefined : key;
}

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, "\\$&");
}
