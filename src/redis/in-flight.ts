import type { Clock, Timer } from "../clock.ts";
import type { Batch } from "./batch.ts";
import { NodeError } from "./node-error.ts";
import type { BatchListener } from "./node-port.ts";

/** A batch that was written to a connection. */
export interface Sent {
  readonly batch: Batch;
  readonly listener: BatchListener;
  readonly sentAt: number;
  /** Whether the listener was told that there is no answer. */
  overdue: boolean;
}

/** Timers may fire so many ms early. */
const TIMER_SLACK = 2;

/** A timer that fires so many ms late was kept from it: the process was busy, and answers may lie unread. */
const BUSY = 20;

/**
 * What was written to a connection and has not been answered. All have the same time to be answered, so one timer watches the
 * oldest. A batch stays when its deadline has passed: its answer may come.
 */
export class InFlight {
  readonly #clock: Clock;
  readonly #timeout: number;
  readonly #onSilence: () => void;
  readonly #batches = new Set<Sent>();
  #calls = 0;
  #lastAnswerAt = -Infinity;
  #deadline: Timer | undefined;
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

  /** A batch is being written, in this moment. */
  start(batch: Batch, listener: BatchListener): Sent {
    const sent = { batch, listener, sentAt: this.#clock.now(), overdue: false };
    this.#batches.add(sent);
    this.#calls += batch.calls.length;
    this.#watch(sent);
    return sent;
  }

  has(sent: Sent): boolean {
    return this.#batches.has(sent);
  }

  /** A batch was answered. False when it was given up before. */
  land(sent: Sent): boolean {
    if (!this.#batches.delete(sent)) return false;
    this.#calls -= sent.batch.calls.length;
    this.#lastAnswerAt = this.#clock.now();
    return true;
  }

  /** The connection is gone: takes out everything. */
  giveUp(): Sent[] {
    const lost = [...this.#batches];
    this.#batches.clear();
    this.#calls = 0;
    this.#clock.clearTimer(this.#vigil);
    this.#clock.clearTimer(this.#deadline);
    this.#deadline = undefined;
    return lost;
  }

  #watch({ sentAt }: Sent): void {
    if (this.#deadline !== undefined) return;
    const at = sentAt + this.#timeout;
    this.#deadline = this.#clock.timer(at - this.#clock.now(), () => {
      const now = this.#clock.now();
      // Immediates run when what has arrived by now has been read; reading it may take long, too.
      if (now > at + BUSY) setImmediate(() => this.#expire(now));
      else this.#expire(now);
    });
  }

  /** Tells those whose time was up at `now`, and watches the next. */
  #expire(now: number): void {
    this.#deadline = undefined;
    const error = new NodeError("timed-out", `no answer within ${this.#timeout} ms`);
    for (const sent of this.#batches) {
      if (sent.overdue) continue;
      if (sent.sentAt + this.#timeout > now) return this.#watch(sent);
      sent.overdue = true;
      sent.listener.failure(error);
      this.#miss(sent);
    }
  }

  /** An answer is overdue. */
  #miss({ sentAt }: Sent): void {
    const left = Math.max(sentAt, this.#lastAnswerAt) + this.#timeout - this.#clock.now();
    this.#clock.clearTimer(this.#vigil);
    if (left <= TIMER_SLACK) return this.#onSilence();
    this.#vigil = this.#clock.timer(left, () => {
      const [oldest] = this.#batches;
      if (oldest !== undefined) this.#miss(oldest);
    });
  }
}
