import { monotonic } from "./journal.ts";

const TICK = 10;
/** A longer gap between two ticks is time in which the process did not run. */
const LONGEST_GAP = 60;

/** Milliseconds in which this process ran: it does not count the time for which it was stopped. */
export class ActiveTime {
  #active = 0;
  #lookedAt = monotonic();

  constructor() {
    setInterval(() => this.now(), TICK).unref();
  }

  now(): number {
    const at = monotonic();
    this.#active += Math.min(at - this.#lookedAt, LONGEST_GAP);
    this.#lookedAt = at;
    return this.#active;
  }
}
