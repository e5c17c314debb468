import type { Clock } from "../clock.ts";
import { LONGEST_PASS, SHORTEST_PASS } from "../lock/line-script.ts";

/**
 * The homes whose waiters were called and did not come: a paused queue, one whose slots are all taken, or one without
 * workers. They keep their places, and are passed over for a while, so that the others in line do not wait for them.
 */
export class Suspects {
  readonly #clock: Clock;
  readonly #until = new Map<string, { until: number; pause: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The homes to pass over now. */
  list(): string[] {
    const now = this.#clock.now();
    return [...this.#until].filter(([, { until }]) => until > now).map(([home]) => home);
  }

  /** A waiter of the home did not come. */
  suspect(home: string): void {
    const pause = Math.min((this.#until.get(home)?.pause ?? SHORTEST_PASS / 2) * 2, LONGEST_PASS);
    this.#until.set(home, { until: this.#clock.now() + pause, pause });
  }

  /**
   * A worker of the home has taken up a job.
   * @returns whether the home was passed over until now.
   */
  trust(home: string): boolean {
    return this.#until.size > 0 && this.#until.delete(home);
  }

  /** When the next home is tried again; Infinity when none is passed over. */
  get nextTrial(): number {
    const now = this.#clock.now();
    const ends = [...this.#until.values()].map(({ until }) => until).filter((end) => end > now);
    return Math.min(Infinity, ...ends);
  }
}
