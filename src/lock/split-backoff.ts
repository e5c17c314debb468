/**
 * Attempts for the same keys that have split the masters with others. One of this process goes on, the rest wait for what
 * it comes to: the fewer contend, the sooner one of them has a quorum.
 */
export class SplitBackoff {
  readonly #leaders = new Map<string, Promise<void>>();

  /** Resolves when the attempt that goes on for these keys has ended; `undefined` when there is none. */
  leader(keys: readonly string[]): Promise<void> | undefined {
    return this.#leaders.get(JSON.stringify(keys));
  }

  /** The caller is the one that goes on, until the returned function is called. */
  lead(keys: readonly string[]): () => void {
    const id = JSON.stringify(keys);
    let end: (() => void) | undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#leaders.set(id, ended);
    return () => {
      this.#leaders.delete(id);
      end?.();
    };
  }
}
