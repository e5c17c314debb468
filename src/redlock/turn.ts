import type { Clock } from "../clock.ts";
import type { Line } from "../line/line.ts";
import type { Standing } from "../line/place.ts";
import { onAbort, type Stop } from "../on-abort.ts";

/** Somebody who waits in this process until it is its turn. It remembers a call that came while it was busy. */
export class Turn {
  readonly #line: Line;
  readonly #keys: readonly string[];
  readonly #forget: () => void;
  #called = false;
  #wake: () => void = sleepOn;

  constructor(line: Line, { place }: Standing, keys: readonly string[]) {
    this.#line = line;
    this.#keys = keys;
    this.#forget = line.await(place, keys, () => {
      this.#called = true;
      this.#wake();
    });
  }

  /**
   * Joins the lines, or joins them again, and forgets earlier calls.
   * @returns false when too few masters have heard of it for a call to be sure.
   */
  async join(standing: Standing, tries: number, keptFor: number): Promise<boolean> {
    this.#called = false;
    const { quiet, heard } = await this.#line.join(standing, this.#keys, {
      state: "living",
      tries,
      keptFor,
    });
    if (!quiet) void this.#line.look(this.#keys);
    return heard;
  }

  /** Resolves when it is our turn, after `ms`, or when a signal aborts. */
  async come(clock: Clock, ms: number, signals: readonly Stop[]): Promise<void> {
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
