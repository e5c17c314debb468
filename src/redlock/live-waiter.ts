import type { Clock } from "../clock.ts";
import { type AbortSource, onAbort } from "../on-abort.ts";
import type { Waiter } from "../waiters/waiter.ts";
import type { WaitLists } from "../waiters/wait-lists.ts";

/** A caller that sleeps in this process until a key is reserved for it. It remembers a wake-up that comes while it is busy. */
export class LiveWaiter {
  readonly #waitLists: WaitLists;
  readonly #keys: readonly string[];
  readonly #limits: readonly number[] | undefined;
  readonly #forget: () => void;
  #woken = false;
  #wake: () => void = ignore;

  constructor(
    waitLists: WaitLists,
    { position }: Waiter,
    keys: readonly string[],
    limits: readonly number[] | undefined,
  ) {
    this.#waitLists = waitLists;
    this.#keys = keys;
    this.#limits = limits;
    this.#forget = waitLists.onReservation(position, keys, limits, () => {
      this.#woken = true;
      this.#wake();
    });
  }

  /**
   * Joins the wait lists, or joins them again, and forgets earlier wake-ups.
   * @returns false when too few masters know the waiter: a wake-up is not certain then.
   */
  async join(waiter: Waiter, tries: number, heldBackFor: number): Promise<boolean> {
    this.#woken = false;
    const { taken, free, answered } = await this.#waitLists.join(waiter, this.#keys, {
      limits: this.#limits,
      state: "live",
      tries,
      heldBackFor,
    });
    if (!taken) void this.#waitLists.check(free);
    return answered;
  }

  /** Resolves at the wake-up, after `ms`, or when a signal aborts. */
  async sleep(clock: Clock, ms: number, signals: readonly AbortSource[]): Promise<void> {
    if (this.#woken || signals.some(({ aborted }) => aborted)) return;
    await new Promise<void>((resolve) => {
      const timer = clock.timer(ms, () => this.#wake());
      this.#wake = () => {
        this.#wake = ignore;
        clock.clearTimer(timer);
        for (const forget of forgets) forget();
        resolve();
      };
      const forgets = signals.map((signal) => onAbort(signal, () => this.#wake()));
    });
  }

  /** Takes no further wake-ups. */
  end(): void {
    this.#forget();
  }
}

function ignore(): void {}
