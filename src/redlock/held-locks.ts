/** An element of {@link HeldLocks}. */
interface Numbered {
  /** Belongs to the collection; -1 for an element that was never in it. */
  index: number;
}

/** All held locks of a client, in no order. A `Set` would keep what is removed from it, see `TimerHeap`. */
export class HeldLocks<L extends Numbered> implements Iterable<L> {
  readonly #locks: L[] = [];

  add(lock: L): void {
    lock.index = this.#locks.push(lock) - 1;
  }

  /** Removes a lock if it is there. */
  delete(lock: L): void {
    const { index } = lock;
    if (this.#locks[index] !== lock) return;
    const last = this.#locks.pop() as L;
    if (last === lock) return;
    this.#locks[index] = last;
    last.index = index;
  }

  [Symbol.iterator](): Iterator<L> {
    return this.#locks[Symbol.iterator]();
  }
}
