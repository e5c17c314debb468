import type { Clock } from "../clock.ts";
import type { WaitLists } from "../waiters/wait-lists.ts";
import type { Waiter } from "../waiters/waiter.ts";
import { onAbort, type AbortSource } from "../on-abort.ts";

/** Somebody who waits in this process until it is its turn. It remembers a call that came while it was busy. */
export class LiveWaiter {
  readonly #waitLists: WaitLists;
  readonly #keys: readonly string[];
  readonly #forget: () => void;
  #called = false;
  #wake: () => void = sleepOn;

  constructor(waitLists: WaitLists, { position }: Waiter, keys: readonly string[]) {
    this.#waitLists = waitLists;
    this.#keys = keys;
    this.#forget = waitLists.onReservation(position, keys, () => {
      this.#called = true;
      this.#wake();
    });
  }

  /**
   * Joins the lines, or joins them again, and forgets earlier calls.
   * @returns false when too few masters have heard of it for a call to be sure.
   */
  async join(waiter: Waiter, tries: number, keptFor: number): Promise<boolean> {
    this.#called = false;
    const { quiet, answered } = await this.#waitLists.join(waiter, this.#keys, {
      state: "live",
      tries,
      keptFor,
    });
    if (!quiet) void this.#waitLists.check(this.#keys);
    return answered;
  }

  /** Resolves when it is our turn, after `ms`, or when a signal aborts. */
  async come(clock: Clock, ms: number, signals: readonly AbortSource[]): Promise<void> {
    if (this.#called || signals.some(({ aborted }) => aborted)) return;
    await new Promise<void>((resolve) => {
      const timer = clock.timer(ms, () => this.#wake());
      this.#wake = () => {
        this.#wake = sleepOn;
        clock.clearTimer(timer);
        for (const forget of forgets) forget();
        resolve();
      };
      const forgets = signals.map((signal) => onAbort(signal, () => this.#wake()));
    });
  }

  /** Nobody waits any more. */
  end(): void {
    this.#forget();
  }
}

/** Nobody waits. */
function sleepOn(): void {}
