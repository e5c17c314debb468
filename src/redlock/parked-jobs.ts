import type { Clock } from "../clock.ts";

/** Entries above which those that are over are looked for. */
const SPARE = 1_024;

interface ParkedJob {
  readonly queue: string;
  /** When the job comes back by itself. */
  readonly until: number;
}

/**
 * The jobs that this process has parked and not seen come back. A job that another process has taken up counts until its
 * delay is over.
 */
export class ParkedJobs {
  readonly #clock: Clock;
  readonly #jobs = new Map<string, ParkedJob>();
  #pruneAbove = SPARE;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A job was parked for `delay` ms. */
  add(name: string, queue: string, delay: number): void {
    this.#jobs.set(name, { queue, until: this.#clock.now() + delay });
    if (this.#jobs.size <= this.#pruneAbove) return;
    this.#prune();
    this.#pruneAbove = SPARE + 2 * this.#jobs.size;
  }

  /** Whether there is any: the name of a job need not be made else. */
  get isEmpty(): boolean {
    return this.#jobs.size === 0;
  }

  /** A job has come back. */
  delete(name: string): void {
    this.#jobs.delete(name);
  }

  /** How many there are now, for each queue that has some. */
  byQueue(): ReadonlyMap<string, number> {
    this.#prune();
    const counts = new Map<string, number>();
    for (const { queue } of this.#jobs.values()) counts.set(queue, (counts.get(queue) ?? 0) + 1);
    return counts;
  }

  /** How many there are now. */
  get count(): number {
    this.#prune();
    return this.#jobs.size;
  }

  #prune(): void {
    const now = this.#clock.now();
    for (const [name, { until }] of this.#jobs) if (until <= now) this.#jobs.delete(name);
  }
}
