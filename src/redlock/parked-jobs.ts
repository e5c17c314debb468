import type { Clock } from "../clock.ts";

/** Number of entries above which expired ones are removed. */
const SPARE = 1_024;

interface ParkedJob {
  readonly queue: string;
  /** When the delay of the job ends. */
  readonly until: number;
}

/**
 * The jobs that this process has parked and not started again. A job that another process has started counts until its
 * delay is over.
 */
export class ParkedJobs {
  readonly #clock: Clock;
  readonly #jobs = new Map<string, ParkedJob>();
  #pruneAbove = SPARE;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds a job that was parked for `delay` ms. */
  add(name: string, queue: string, delay: number): void {
    this.#jobs.set(name, { queue, until: this.#clock.now() + delay });
    if (this.#jobs.size <= this.#pruneAbove) return;
    this.#prune();
    this.#pruneAbove = SPARE + 2 * this.#jobs.size;
  }

  /** Whether there is none: then the name of a job need not be made. */
  get isEmpty(): boolean {
    return this.#jobs.size === 0;
  }

  delete(name: string): void {
    this.#jobs.delete(name);
  }

  /** How many there are now, for each queue that has any. */
  byQueue(): ReadonlyMap<string, number> {
    this.#prune();
    const counts = new Map<string, number>();
    for (const { queue } of this.#jobs.values()) counts.set(queue, (counts.get(queue) ?? 0) + 1);
    return counts;
  }

  get count(): number {
    this.#prune();
    return this.#jobs.size;
  }

  #prune(): void {
    const now = this.#clock.now();
    for (const [name, { until }] of this.#jobs) if (until <= now) this.#jobs.delete(name);
  }
}
