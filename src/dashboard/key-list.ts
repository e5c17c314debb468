import type { ListedKey } from "../redlock/list.ts";
import type { Redlock } from "../redlock/redlock.ts";

const MOST_KEYS = 20_000;
/** How many lists are kept, one for each pattern. */
const MOST_LISTS = 8;
/** A list is reused for at least this long, in ms. */
const SHORTEST_USE = 1_000;
/** A list is reused for this many times the time that it took, so that walks take at most a twentieth of the time. */
const USE_FACTOR = 20;
/** The longest reuse, in ms: a master that hangs makes a walk slow, but not expensive. */
const LONGEST_USE = 10_000;

/** Names of keys, those with the most waiters first. */
export interface KeyListing {
  readonly keys: readonly ListedKey[];
  /** How many waiters there are for all these keys. */
  readonly waiting: number;
  /** True when there are more keys than are listed. */
  readonly isCut: boolean;
}

interface Entry {
  readonly listing: Promise<KeyListing>;
  /** Until when it may be used; `undefined` while it is read. */
  until: number | undefined;
}

/** Lists keys for all open pages together, so that many viewers cost the masters no more than one. */
export class KeyLists {
  readonly #redlock: Redlock;
  readonly #entries = new Map<string, Entry>();

  constructor(redlock: Redlock) {
    this.#redlock = redlock;
  }

  /** The keys that match a pattern. @throws as `redlock.keys`. */
  async read(pattern: string): Promise<KeyListing> {
    const known = this.#entries.get(pattern);
    if (known !== undefined && (known.until ?? Infinity) > performance.now()) {
      return await known.listing;
    }
    const begun = performance.now();
    const entry: Entry = { listing: this.#walk(pattern), until: undefined };
    this.#entries.delete(pattern);
    this.#entries.set(pattern, entry);
    for (const old of [...this.#entries.keys()].slice(0, -MOST_LISTS)) this.#entries.delete(old);
    try {
      const listing = await entry.listing;
      const now = performance.now();
      const use = Math.max(SHORTEST_USE, USE_FACTOR * (now - begun));
      entry.until = now + Math.min(LONGEST_USE, use);
      return listing;
    } catch (error) {
      entry.until = 0;
      throw error;
    }
  }

  async #walk(pattern: string): Promise<KeyListing> {
    const keys: ListedKey[] = [];
    let waiting = 0;
    let isCut = false;
    for await (const each of this.#redlock.keys(pattern)) {
      isCut = keys.length === MOST_KEYS;
      if (isCut) break;
      keys.push(each);
      waiting += each.waiting;
    }
    keys.sort((a, b) => b.waiting - a.waiting || (a.key < b.key ? -1 : 1));
    return { keys, waiting, isCut };
  }
}
