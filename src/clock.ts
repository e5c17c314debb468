/** A started timer; its owner clears it with {@link Clock.clearTimer}. */
export type Timer = object | number;

/** The source of time. Injected, so that tests can run the real client in virtual time. */
export interface Clock {
  /** Milliseconds that never go back and that count the time a suspended machine slept. */
  now(): number;
  /** Milliseconds since 1970. Only proposes fencing tokens, never measures a duration. */
  wall(): number;
  /** Calls `run` once after `ms` milliseconds. */
  timer(ms: number, run: () => void): Timer;
  /** Stops a timer; harmless when it has fired or there is none. */
  clearTimer(timer: Timer | undefined): void;
}

/**
 * When (wall - monotonic) has grown by more than this many milliseconds since the last reading, the machine was suspended.
 * Slewing and the granularity of the two clocks stay below.
 */
const SUSPEND_THRESHOLD = 50;

/** `setTimeout` of Node fires at once for a longer time, in milliseconds. */
export const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * A monotonic clock that also counts suspended time.
 *
 * CLOCK_MONOTONIC stops while a virtual machine is suspended; the masters' clocks do not. When the wall clock runs ahead of
 * the monotonic clock, the difference is added: a forward step of the wall clock then ends locks early, which is safe. A
 * backward step is ignored.
 *
 * @see https://github.com/nodejs/node/issues/47724
 */
export class SuspendAwareClock implements Clock {
  readonly #monotonic: () => number;
  readonly #wall: () => number;
  #gap: number;
  #slept = 0;

  constructor(
    monotonic: () => number = () => performance.now(),
    wall: () => number = () => Date.now(),
  ) {
    this.#monotonic = monotonic;
    this.#wall = wall;
    this.#gap = wall() - monotonic();
  }

  now(): number {
    const monotonic = this.#monotonic();
    const gap = this.#wall() - monotonic;
    const growth = gap - this.#gap;
    // @protection suspended time counts, and nothing else of the wall clock
    if (growth > SUSPEND_THRESHOLD) this.#slept += growth;
    this.#gap = gap;
    return monotonic + this.#slept;
  }

  wall(): number {
    return this.#wall();
  }

  timer(ms: number, run: () => void): Timer {
    return setTimeout(run, Math.min(Math.max(0, ms), LONGEST_TIMER));
  }

  clearTimer(timer: Timer | undefined): void {
    clearTimeout(timer as NodeJS.Timeout | undefined);
  }
}

/** The clock of this process, shared so that its first reading after a suspension notices it for all. */
export const systemClock: Clock = new SuspendAwareClock();
