import type { Clock } from "../clock.ts";
import type { NodeVote } from "../errors.ts";
import type { ExtendOutcome } from "../lock/tally.ts";
import type { Lease, LeaseListener } from "../lock/lease.ts";
import type { Random } from "../random.ts";
import type { Task, TimerHeap } from "../timer-heap.ts";

/** Why a lock has ended without a release. */
export interface LossNotice {
  readonly reason: "taken" | "expired" | "blocked" | "ended";
  readonly votes: readonly NodeVote[];
  /** Milliseconds for which, at least, the process was blocked, when that is the reason. */
  readonly blockedFor?: number;
}

/** Receives what happens to a held lock. */
export interface HeartbeatListener {
  /** The deadline moved. */
  onExtended(): void;
  /** The lock is lost. Called once; the heartbeat has stopped. */
  onLost(notice: LossNotice): void;
}

/** Extends are due on a grid of this part of their interval, so that many locks share their requests. */
const GRID_PART = 20;
/** After an extend that moved nothing, the next follows after this part of the ttl, so that several fit before the end. */
const RETRY_PART = 12;
/** Shortest pause before such a retry, in ms. */
const SHORTEST_RETRY = 100;

/** The last extend is sent this part of the ttl before the lock is given up. */
const LAST_CHANCE_PART = 20;

/** A timer that is late by more than this part of the ttl was blocked. */
const BLOCKED_PART = 20;

const NO_VOTES: readonly NodeVote[] = [];

/** What the heartbeats of one client share. */
export interface HeartbeatParts {
  readonly timers: TimerHeap;
  readonly clock: Clock;
  readonly random: Random;
}

/** The heartbeat of one lock: extends it in time, and ends it in time when no extend succeeds. */
export class Heartbeat implements Task, LeaseListener {
  readonly #lease: Lease;
  readonly #interval: number | false;
  readonly #listener: HeartbeatListener;
  readonly #parts: HeartbeatParts;
  #nextExtend: number;
  #over = false;
  #lastVotes: readonly NodeVote[] = NO_VOTES;

  constructor(
    lease: Lease,
    interval: number | false,
    listener: HeartbeatListener,
    parts: HeartbeatParts,
  ) {
    this.#lease = lease;
    this.#interval = interval;
    this.#listener = listener;
    this.#parts = parts;
    this.#nextExtend = this.#onGrid(parts.clock.now());
    lease.watch(this);
    parts.timers.add(this);
  }

  get due(): number {
    return Math.min(this.#nextExtend, this.#lease.usableUntil);
  }

  run(now: number): void {
    // The deadline first: it must hold even when an extend is never answered.
    if (now >= this.#lease.usableUntil) {
      this.#lose(this.#overdue(now));
    } else if (now >= this.#nextExtend) {
      this.#nextExtend = Infinity;
      this.extend();
    }
  }

  /** Extends now, by `ttl` or the lock's own ttl. `settle` runs with the outcome. */
  extend(ttl: number = this.#lease.ttl, settle?: (outcome: ExtendOutcome) => void): void {
    const sentAt = this.#parts.clock.now();
    const before = this.#lease.validUntil;
    this.#lease.extend(ttl, (outcome) => {
      this.#extended(outcome, sentAt, before);
      settle?.(outcome);
    });
  }

  onShortened(): void {
    this.#parts.timers.update(this);
  }

  /** Stops extends and watchdog; the listener is not called any more. Idempotent. */
  stop(): void {
    this.#over = true;
    this.#parts.timers.remove(this);
  }

  /** Does now what the timer would do, in case that the timer is late. */
  check(): void {
    if (!this.#over) this.run(this.#parts.clock.now());
  }

  #extended(outcome: ExtendOutcome, sentAt: number, before: number): void {
    if (this.#over) return;
    if (outcome.kind === "lost") return this.#lose({ reason: "taken", votes: outcome.votes });
    const moved = this.#lease.validUntil > before;
    this.#lastVotes = moved || outcome.kind === "extended" ? NO_VOTES : outcome.votes;
    this.#nextExtend = moved ? this.#onGrid(sentAt) : this.#retryAt(this.#parts.clock.now());
    this.#parts.timers.update(this);
    if (moved) this.#listener.onExtended();
  }

  /** Explains why the lock was not extended in time. */
  #overdue(now: number): LossNotice {
    const votes = this.#lastVotes;
    if (this.#interval === false) return { reason: "ended", votes };
    const blockedFor = this.#parts.timers.lateBy(now);
    const isBlocked = votes.length === 0 && blockedFor > this.#lease.ttl / BLOCKED_PART;
    return isBlocked ? { reason: "blocked", votes, blockedFor } : { reason: "expired", votes };
  }

  #lose(notice: LossNotice): void {
    if (this.#over) return;
    this.stop();
    this.#listener.onLost(notice);
  }

  #onGrid(from: number): number {
    if (this.#interval === false) return Infinity;
    const grid = Math.max(1, this.#interval / GRID_PART);
    return Math.floor((from + this.#interval) / grid) * grid;
  }

  #retryAt(now: number): number {
    if (this.#interval === false) return Infinity;
    const { ttl, usableUntil } = this.#lease;
    const pause = Math.max(ttl / RETRY_PART, Math.min(SHORTEST_RETRY, this.#interval / 2));
    const next = now + pause * (0.75 + this.#parts.random.fraction() / 2);
    // The last retry comes early enough to be answered.
    const lastChance = usableUntil - ttl / LAST_CHANCE_PART;
    return lastChance > now ? Math.min(next, lastChance) : next;
  }
}
