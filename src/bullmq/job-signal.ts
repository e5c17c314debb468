import { onAbort, type AbortSource } from "../on-abort.ts";

/**
 * A signal that aborts with the first of several others.
 *
 * It is linked by hand, and not by `AbortSignal.any`, because sources that live as long as the worker would
 * remember each of the signals derived from them.
 */
export class LinkedSignal {
  readonly #controller = new AbortController();
  readonly #links: (() => void)[] = [];

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Aborts also when `source` does, with what `reason` makes of its reason. */
  follow(
    source: AbortSource | undefined,
    reason: (reason: unknown) => unknown = (given) => given,
  ): this {
    if (source === undefined || this.signal.aborted) return this;
    const unlink = onAbort(source, () => {
      this.unlink();
      this.#controller.abort(reason(source.reason));
    });
    this.#links.push(unlink);
    return this;
  }

  /** Leaves the sources. To be called when nobody needs the signal any more. */
  unlink(): void {
    for (const unlink of this.#links.splice(0)) unlink();
  }
}
