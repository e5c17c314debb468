import type { Clock, Timer } from "../clock.ts";
import type { Batch } from "./batch.ts";
import { NodeError } from "./node-error.ts";
import type { BatchListener } from "./node-port.ts";

/** A batch that was written to a connection. */
export interface Sent {
  readonly batch: Batch;
  readonly listener: BatchListener;
  readonly sentAt: number;
  /** Whether the deadline has passed, and the listener has the failure. */
  overdue: boolean;
}

/** Timers may fire this many ms early. */
const TIMER_SLACK = 2;

/** When a timer fires later than this many ms, the process was busy, and answers may have arrived unread. */
const BUSY = 20;

/**
 * The batches that were written to a connection and are not answered. All have the same timeout, so one timer, for the oldest,
 * serves all deadlines of a connection. A batch stays after its deadline: its answer may still come.
 */
export class InFlight {
  readonly #clock: Clock;
  readonly #timeout: number;
  readonly #onSilence: () => void;
  /** The oldest first, and a connection answers in order. A `Set` would keep what is removed from it, see `TimerHeap`. */
  #batches: Sent[] = [];
  #size = 0;
  #lastAnswerAt = -Infinity;
  #deadline: Timer | undefined;
  /** Runs while an answer is overdue, but others have arrived since. */
  #silence: Timer | undefined;

  /**
   * @param timeout milliseconds for each batch.
   * @param onSilence runs when no batch at all was answered for that time.
   */
  constructor(clock: Clock, timeout: number, onSilence: () => void) {
    this.#clock = clock;
    this.#timeout = timeout;
    this.#onSilence = onSilence;
  }

  /** How much work the master still has to answer, see `Request.size`. */
  get size(): number {
    return this.#size;
  }

  /** Adds a batch that is written at this moment. */
  start(batch: Batch, listener: BatchListener): Sent {
    const sent = { batch, listener, sentAt: this.#clock.now(), overdue: false };
    this.#batches.push(sent);
    this.#size += batch.size;
    this.#watch(sent);
    return sent;
  }

  has(sent: Sent): boolean {
    return this.#batches.includes(sent);
  }

  /** Removes a batch that was answered. False when it was taken out before. */
  end(sent: Sent): boolean {
    const index = this.#batches.indexOf(sent);
    if (index === -1) return false;
    this.#batches.splice(index, 1);
    this.#size -= sent.batch.size;
    this.#lastAnswerAt = this.#clock.now();
    return true;
  }

  /** Takes out all batches: the connection is lost. */
  takeAll(): Sent[] {
    const lost = this.#batches;
    this.#batches = [];
    this.#size = 0;
    this.#clock.clearTimer(this.#silence);
    this.#clock.clearTimer(this.#deadline);
    this.#deadline = undefined;
    return lost;
  }

  #watch({ sentAt }: Sent): void {
    if (this.#deadline !== undefined) return;
    const at = sentAt + this.#timeout;
    this.#deadline = this.#clock.timer(at - this.#clock.now(), () => {
      const now = this.#clock.now();
      // Node reads the answers that have arrived before it runs immediates, and the reading may take long.
      if (now > at + BUSY) setImmediate(() => this.#expire(now));
      else this.#expire(now);
    });
  }

  #expire(now: number): void {
    this.#deadline = undefined;
    const error = new NodeError("timed-out", `no answer within ${this.#timeout} ms`);
    // A listener may end the connection, and take all batches out.
    for (let index = 0; index < this.#batches.length; index++) {
      const sent = this.#batches[index] as Sent;
      if (sent.overdue) continue;
      if (sent.sentAt + this.#timeout > now) return this.#watch(sent);
      sent.overdue = true;
      sent.listener.failure(error);
      this.#checkSilence(sent);
    }
  }

  #checkSilence({ sentAt }: Sent): void {
    const left = Math.max(sentAt, this.#lastAnswerAt) + this.#timeout - this.#clock.now();
    this.#clock.clearTimer(this.#silence);
    if (left <= TIMER_SLACK) return this.#onSilence();
    this.#silence = this.#clock.timer(left, () => {
      const [oldest] = this.#batches;
      if (oldest !== undefined) this.#checkSilence(oldest);
    });
  }
}
