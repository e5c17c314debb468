import { keyOfSlot } from "../lock/slots.ts";
import { KeyWatcher, type KeyWatcherParts } from "./key-watcher.ts";
import type { WokenAt } from "./wakeups.ts";

type SharedParts = Omit<KeyWatcherParts, "wokenAt" | "ended">;

/** The watchers of all keys in which this process has an interest. */
export class KeyWatchers {
  readonly #parts: SharedParts;
  readonly #watchers = new Map<string, KeyWatcher>();
  /** What the watchers of the slots of one key share, by the key. */
  readonly #shared = new Map<string, { readonly wokenAt: WokenAt; watchers: number }>();
  #closed = false;

  constructor(parts: SharedParts) {
    this.#parts = parts;
  }

  /** The watcher of a key or slot, if it has one. */
  find(key: string): KeyWatcher | undefined {
    return this.#watchers.get(key);
  }

  /** The watcher of a key or slot, which has one from now on. */
  of(key: string): KeyWatcher {
    const known = this.#watchers.get(key);
    if (known !== undefined) return known;
    const name = keyOfSlot(key);
    // @protection a waiter that has missed one slot is offered no other one
    const shared = this.#shared.get(name) ?? { wokenAt: new Map(), watchers: 0 };
    shared.watchers += 1;
    this.#shared.set(name, shared);
    const watcher = new KeyWatcher(key, {
      ...this.#parts,
      wokenAt: shared.wokenAt,
      ended: () => {
        this.#watchers.delete(key);
        shared.watchers -= 1;
        if (shared.watchers === 0) this.#shared.delete(name);
      },
    });
    this.#watchers.set(key, watcher);
    // A request after close() still gets its answer, and leaves no watcher behind.
    if (this.#closed) watcher.end();
    return watcher;
  }

  /** Ends all watchers. */
  close(): void {
    this.#closed = true;
    for (const watcher of this.#watchers.values()) watcher.end();
  }
}
