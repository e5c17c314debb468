import type { Clock } from "../clock.ts";
import type { SkippedQueue } from "../lock/wait-list-hooks.ts";
import { LONGEST_PAUSE, SHORTEST_PAUSE } from "./queues-lua.ts";

const NONE: readonly SkippedQueue[] = [];

/**
 * Queues whose jobs were woken, and not taken up: a paused queue, a queue whose slots are all taken, or one without workers. Their
 * jobs keep their positions, and are skipped for a while, so that the other waiters do not wait for them.
 */
export class UnresponsiveQueues {
  readonly #clock: Clock;
  readonly #known = new Map<string, { since: number; pause: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The queues that are skipped now. */
  list(): readonly SkippedQueue[] {
    // @protection unresponsive queues are skipped
    if (this.#known.size === 0) return NONE;
    const now = this.#clock.now();
    return [...this.#known]
      .filter(([, { since, pause }]) => since + pause > now)
      .map(([queueId, { since }]) => ({ queueId, age: now - since }));
  }

  /** A job of the queue was woken, and not taken up. */
  skip(queueId: string): void {
    const now = this.#clock.now();
    const known = this.#known.get(queueId);
    // A pause that ended that long ago does not count.
    const counts = known !== undefined && now < known.since + 2 * known.pause;
    const pause = counts ? Math.min(2 * known.pause, LONGEST_PAUSE) : SHORTEST_PAUSE;
    this.#known.set(queueId, { since: now, pause });
  }

  /**
   * A worker of the queue has taken up a job.
   * @returns whether the queue was skipped until now.
   */
  readmit(queueId: string): boolean {
    return this.#known.size > 0 && this.#known.delete(queueId);
  }

  /** Masters that were asked to skip the queue at `askedAt` name a waiter of it: it was served since. */
  named(queueId: string, askedAt: number): void {
    const known = this.#known.get(queueId);
    if (known === undefined) return;
    const { since, pause } = known;
    if (since < askedAt && askedAt < since + pause) this.#known.delete(queueId);
  }
}
