import type { Clock } from "../clock.ts";

/** Receives which masters give no vote for a while. */
export interface QuarantineListener {
  /** A master gives no vote for `remaining` milliseconds. */
  quarantined(node: number, remaining: number): void;
  /** So many masters give no vote that locks are unavailable for `remaining` milliseconds. Called once for each such time. */
  noQuorum(nodes: readonly number[], remaining: number): void;
}

/** Milliseconds by which two reports of the same quarantine differ at most. */
const SLACK = 1_000;

/** The quarantines of all masters, as far as one client knows them. */
export class Quarantines {
  readonly #clock: Clock;
  readonly #quorum: number;
  readonly #listener: QuarantineListener;
  readonly #until: number[];
  #noQuorumUntil = -Infinity;

  constructor(nodes: number, quorum: number, clock: Clock, listener: QuarantineListener) {
    this.#clock = clock;
    this.#quorum = quorum;
    this.#listener = listener;
    this.#until = Array.from({ length: nodes }, () => -Infinity);
  }

  /** Milliseconds for which a master gives no vote, as far as known; 0 for a master that votes. */
  remaining(node: number): number {
    return Math.max(0, (this.#until[node] ?? -Infinity) - this.#clock.now());
  }

  /** A master has reported that it gives no vote for `remaining` milliseconds. */
  note(node: number, remaining: number): void {
    if (remaining <= 0) return;
    const now = this.#clock.now();
    const until = this.#until[node] ?? now;
    // A longer one: the master has lost its memory once more.
    const known = until > now && now + remaining <= until + SLACK;
    this.#until[node] = now + remaining;
    if (!known) this.#listener.quarantined(node, remaining);
    this.#checkQuorum(now);
  }

  #checkQuorum(now: number): void {
    const ends = this.#until;
    const until = ends.toSorted((a, b) => a - b)[this.#quorum - 1] ?? -Infinity;
    if (until <= now || this.#noQuorumUntil > now) return;
    this.#noQuorumUntil = until;
    const nodes = [...ends.keys()].filter((node) => (ends[node] ?? now) > now);
    this.#listener.noQuorum(nodes, until - now);
  }
}
