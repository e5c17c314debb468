import { KeyWatcher, type KeyWatcherParts } from "./key-watcher.ts";

/** The watchers of all keys in which this process has an interest. */
export class KeyWatchers {
  readonly #parts: Omit<KeyWatcherParts, "ended">;
  readonly #watchers = new Map<string, KeyWatcher>();
  #closed = false;

  constructor(parts: Omit<KeyWatcherParts, "ended">) {
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
    const watcher = new KeyWatcher(key, {
      ...this.#parts,
      ended: (ended) => {
        if (this.#watchers.get(key) === ended) this.#watchers.delete(key);
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
