/**
 * A signal and its controller in one, for use within the library: each job has several, and an `AbortController` costs as
 * much as all the rest of a job.
 */
export class Cancellation {
  /** Created by the first listener: most locks end without one. */
  #callbacks: Set<() => void> | undefined;
  #aborted = false;
  #reason: unknown;

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  /** Aborts; later reasons are ignored. */
  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    const called = this.#callbacks ?? [];
    this.#callbacks = undefined;
    for (const callback of called) callback();
  }

  /** Calls `callback` when it aborts; see `onAbort`. */
  listen(callback: () => void): () => void {
    const callbacks = (this.#callbacks ??= new Set());
    callbacks.add(callback);
    return () => callbacks.delete(callback);
  }
}
