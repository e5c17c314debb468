import type { Clock, Timer } from "../../clock.ts";
import { setImmediate } from "./real-time.ts";

interface VirtualTimer {
  at: number;
  order: number;
  run: () => void;
}

/** Time that moves only when a test moves it. */
export class VirtualClock implements Clock {
  #now = 1_000;
  #wallOffset = 1_700_000_000_000;
  #order = 0;
  readonly #timers = new Set<VirtualTimer>();

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#now + this.#wallOffset;
  }

  stepWall(ms: number): void {
    this.#wallOffset += ms;
  }

  timer(ms: number, run: () => void): Timer {
    const timer = { at: this.#now + Math.max(0, ms), order: this.#order++, run };
    this.#timers.add(timer);
    return timer;
  }

  clearTimer(timer: Timer | undefined): void {
    this.#timers.delete(timer as VirtualTimer);
  }

  /** Timers that have been started and have neither fired nor been stopped. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets `ms` pass, firing timers in order, with all promise jobs run between them. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settlePromises();
    for (let next = this.#next(); next !== undefined && next.at <= end; next = this.#next()) {
      this.#fire(next);
      await settlePromises();
    }
    this.#now = end;
    await settlePromises();
  }

  /** Lets time pass until the promise settles; fails when no timer is left that could settle it. */
  async until<T>(promise: Promise<T>): Promise<T> {
    const settled = new Set<string>();
    const settle = (): unknown => settled.add("settled");
    promise.then(settle, settle);
    await settlePromises();
    while (settled.size === 0) {
      const next = this.#next();
      if (next === undefined) throw new Error("a promise that nothing will ever settle");
      this.#fire(next);
      await settlePromises();
    }
    return promise;
  }

  /** Lets time pass without running timers: the event loop is blocked. */
  block(ms: number): void {
    this.#now += ms;
  }

  #next(): VirtualTimer | undefined {
    let first: VirtualTimer | undefined;
    for (const timer of this.#timers) {
      const earlier = first === undefined || timer.at < first.at;
      if (earlier || (timer.at === first?.at && timer.order < first.order)) first = timer;
    }
    return first;
  }

  #fire(timer: VirtualTimer): void {
    this.#timers.delete(timer);
    this.#now = Math.max(this.#now, timer.at);
    timer.run();
  }
}

/** Lets every promise job run that can. */
function settlePromises(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
