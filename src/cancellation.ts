/**
 * What a signal and its controller are together, for use within the library: each job has several, and an `AbortController`
 * costs as much as all the rest of them.
 */
export class Cancellation {
  /** Made when somebody listens: most locks end without. */
  #callbacks: Set<() => void> | undefined;
  #aborted = false;
  #reason: unknown;

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  /** Ends, for good: later reasons do not count. */
  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    const called = this.#callbacks ?? [];
    this.#callbacks = undefined;
    for (const callback of called) callback();
  }

  /** Calls `callback` when it ends; see {@link onAbort}. */
  listen(callback: () => void): () => void {
    const callbacks = (this.#callbacks ??= new Set());
    callbacks.add(callback);
    return () => callbacks.delete(callback);
  }
}
