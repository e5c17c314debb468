import type { Clock, Timer } from "../clock.ts";
import type { Pending } from "./batch.ts";
import type { Call } from "./operation.ts";

/** Calls that are not written yet, in the order in which they were asked. */
export class Outbox {
  readonly #clock: Clock;
  #waiting: Pending[] = [];
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#waiting.length;
  }

  add(pending: Pending): void {
    this.#waiting.push(pending);
  }

  /** Puts calls before all others: they were started before, and nobody waits for them any more. */
  putFirst(calls: readonly Call<unknown, unknown>[]): void {
    const askedAt = this.#waiting[0]?.askedAt ?? this.#clock.now();
    const listener = { answer: () => {}, failure: () => {} };
    this.#waiting.unshift(...calls.map((call) => ({ call, listener, askedAt })));
  }

  /** Takes the first of them out, all by default. */
  take(most = this.#waiting.length): Pending[] {
    return this.#waiting.splice(0, most);
  }

  /** Takes out what may be executed twice. */
  takeOwed(): Pending[] {
    const owed = this.#waiting.filter(({ call }) => call.operation.owed);
    if (owed.length > 0) {
      this.#waiting = this.#waiting.filter(({ call }) => call.operation.owed !== true);
    }
    return owed;
  }

  /** Takes out those that were asked at `time` or before. */
  takeUntil(time: number): Pending[] {
    const first = this.#waiting.findIndex(({ askedAt }) => askedAt > time);
    return this.take(first === -1 ? undefined : first);
  }

  /** Takes out those whose deadline has come. */
  takeOverdue(deadlineOf: (pending: Pending) => number): Pending[] {
    const now = this.#clock.now();
    const overdue = this.#waiting.filter((pending) => deadlineOf(pending) <= now);
    if (overdue.length > 0) {
      this.#waiting = this.#waiting.filter((pending) => deadlineOf(pending) > now);
    }
    return overdue;
  }

  /** Calls `run` when the first deadline has come; replaces an earlier call of this. */
  watch(deadlineOf: (pending: Pending) => number, run: () => void): void {
    this.unwatch();
    if (this.#waiting.length === 0) return;
    const at = this.#waiting.reduce((first, each) => Math.min(first, deadlineOf(each)), Infinity);
    this.#timer = this.#clock.timer(at - this.#clock.now(), run);
  }

  unwatch(): void {
    this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }
}
