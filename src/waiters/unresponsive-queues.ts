import type { Clock } from "../clock.ts";
import type { SkippedQueue } from "../lock/wait-list-hooks.ts";
import { LONGEST_PAUSE, SHORTEST_PAUSE } from "./queues-lua.ts";

const NONE: readonly SkippedQueue[] = [];

/**
 * The homes whose waiters were called and did not come: a paused queue, one whose slots are all taken, or one without
 * workers. They keep their places, and are passed over for a while, so that the others in line do not wait for them.
 */
export class UnresponsiveQueues {
  readonly #clock: Clock;
  readonly #known = new Map<string, { since: number; pause: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The homes to pass over now. */
  list(): readonly SkippedQueue[] {
    if (this.#known.size === 0) return NONE;
    const now = this.#clock.now();
    return [...this.#known]
      .filter(([, { since, pause }]) => since + pause > now)
      .map(([queueId, { since }]) => ({ queueId, age: now - since }));
  }

  /** A waiter of the home did not come. */
  suspect(queueId: string): void {
    const now = this.#clock.now();
    const known = this.#known.get(queueId);
    // Of one that came to nothing for as long again, nothing is left.
    const counts = known !== undefined && now < known.since + 2 * known.pause;
    const pause = counts ? Math.min(2 * known.pause, LONGEST_PAUSE) : SHORTEST_PAUSE;
    this.#known.set(queueId, { since: now, pause });
  }

  /**
   * A worker of the home has taken up a job.
   * @returns whether the home was passed over until now.
   */
  trust(queueId: string): boolean {
    return this.#known.size > 0 && this.#known.delete(queueId);
  }

  /** Masters that were told at `askedAt` to pass the home over have named a waiter of it: it has come since. */
  named(queueId: string, askedAt: number): void {
    const known = this.#known.get(queueId);
    if (known === undefined) return;
    const { since, pause } = known;
    if (since < askedAt && askedAt < since + pause) this.#known.delete(queueId);
  }
}
