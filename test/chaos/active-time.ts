import { setTimeout as delay } from "node:timers/promises";
import { monotonic } from "./journal.ts";

/** Milliseconds between two ticks, and the most that one counts. */
const TICK = 10;

/**
 * Milliseconds in which this process ran, as the ticks of a timer that was served: a process that is stopped, or that a busy
 * machine seldom lets run, is not served, and its deadlines are not either.
 */
export class ActiveTime {
  #active = 0;
  #lookedAt = monotonic();

  constructor() {
    setInterval(() => this.now(), TICK).unref();
  }

  now(): number {
    const at = monotonic();
    this.#active += Math.min(at - this.#lookedAt, TICK);
    this.#lookedAt = at;
    return this.#active;
  }

  /** Resolves when the process has run for so long. */
  async pass(ms: number): Promise<void> {
    const end = this.now() + ms;
    while (this.now() < end) await delay(TICK);
  }
}
