import type { Clock, Timer } from "../clock.ts";
import { Batch, type Pending } from "./batch.ts";
import type { Arranged } from "./operation.ts";

/** Timers may fire so many ms early. */
const TIMER_SLACK = 2;

/** What was written to a connection and has not been answered. A batch stays when its deadline has passed: its answer may come. */
export class InFlight {
  readonly #clock: Clock;
  readonly #timeout: number;
  readonly #onSilence: () => void;
  readonly #batches = new Set<Batch>();
  #calls = 0;
  #lastAnswerAt = -Infinity;
  /** Runs while an answer is overdue that may be on its way, because others came. */
  #vigil: Timer | undefined;

  /**
   * @param timeout milliseconds that each batch has.
   * @param onSilence runs when nothing at all was answered for so long.
   */
  constructor(clock: Clock, timeout: number, onSilence: () => void) {
    this.#clock = clock;
    this.#timeout = timeout;
    this.#onSilence = onSilence;
  }

  /** How many calls are unanswered. */
  get calls(): number {
    return this.#calls;
  }

  /** Calls are being written, in this moment. */
  start(arranged: Arranged<Pending>): Batch {
    const batch = new Batch(arranged, this.#clock, this.#timeout, () => this.#overdue(batch));
    this.#batches.add(batch);
    this.#calls += batch.pending.length;
    return batch;
  }

  has(batch: Batch): boolean {
    return this.#batches.has(batch);
  }

  /** A batch was answered. False when it was given up before. */
  land(batch: Batch): boolean {
    if (!this.#batches.delete(batch)) return false;
    this.#calls -= batch.pending.length;
    this.#lastAnswerAt = this.#clock.now();
    return true;
  }

  /** The connection is gone: takes out everything. */
  giveUp(): Batch[] {
    const lost = [...this.#batches];
    this.#batches.clear();
    this.#calls = 0;
    this.#clock.clearTimer(this.#vigil);
    return lost;
  }

  #overdue({ sentAt }: Batch): void {
    const left = Math.max(sentAt, this.#lastAnswerAt) + this.#timeout - this.#clock.now();
    this.#clock.clearTimer(this.#vigil);
    if (left <= TIMER_SLACK) return this.#onSilence();
    this.#vigil = this.#clock.timer(left, () => {
      const [oldest] = this.#batches;
      if (oldest !== undefined) this.#overdue(oldest);
    });
  }
}
