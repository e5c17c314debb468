import type { Clock, Timer } from "../clock.ts";
import type { Batch } from "./batch.ts";
import type { BatchListener } from "./node-port.ts";

/** A batch that is not written yet. */
export interface Waiting {
  readonly batch: Batch;
  readonly listener: BatchListener;
  readonly askedAt: number;
}

/** Batches that are not written yet, in the order in which they were asked. */
export class Outbox {
  readonly #clock: Clock;
  #waiting: Waiting[] = [];
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  add(waiting: Waiting): void {
    this.#waiting.push(waiting);
  }

  /** Puts a batch before all others: it was started before. */
  putFirst(batch: Batch, listener: BatchListener): void {
    const askedAt = this.#waiting[0]?.askedAt ?? this.#clock.now();
    this.#waiting.unshift({ batch, listener, askedAt });
  }

  /** Takes out the first. */
  takeFirst(): Waiting | undefined {
    return this.#waiting.shift();
  }

  /** Takes out all, or those that were asked at `time` or before. */
  takeUntil(time = Infinity): Waiting[] {
    const first = this.#waiting.findIndex(({ askedAt }) => askedAt > time);
    return this.#waiting.splice(0, first === -1 ? this.#waiting.length : first);
  }

  /** All of them. */
  [Symbol.iterator](): IterableIterator<Waiting> {
    return this.#waiting.values();
  }

  /** Takes out those whose deadline has come. */
  takeOverdue(deadlineOf: (waiting: Waiting) => number): Waiting[] {
    const now = this.#clock.now();
    const overdue = this.#waiting.filter((waiting) => deadlineOf(waiting) <= now);
    if (overdue.length > 0) {
      this.#waiting = this.#waiting.filter((waiting) => deadlineOf(waiting) > now);
    }
    return overdue;
  }

  /** Calls `run` when the first deadline has come; replaces an earlier call of this. */
  watch(deadlineOf: (waiting: Waiting) => number, run: () => void): void {
    this.unwatch();
    if (this.#waiting.length === 0) return;
    const at = this.#waiting.reduce((first, each) => Math.min(first, deadlineOf(each)), Infinity);
    this.#timer = this.#clock.timer(at - this.#clock.now(), run);
  }

  unwatch(): void {
    if (this.#timer === undefined) return;
    this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }
}
