import type { Clock } from "../clock.ts";
import type { NodeVote } from "../errors.ts";
import type { ExtendOutcome } from "../lock/tally.ts";
import type { Lease } from "../lock/lease.ts";
import type { Random } from "../random.ts";
import { TimerHeap, type Task } from "../timer-heap.ts";

/** Why a lock is over without having been released. */
export interface LossNotice {
  readonly reason: "taken" | "expired" | "blocked" | "ended";
  readonly votes: readonly NodeVote[];
  /** Milliseconds for which, at least, nothing could run, when that is the reason. */
  readonly blockedFor?: number;
}

/** What the owner of a lock is told. */
export interface HeartbeatListener {
  /** The deadline moved. */
  onExtended(): void;
  /** The lock is lost. Called once; the heartbeat has ended. */
  onLost(notice: LossNotice): void;
}

/** Beats are due on a grid of this part of their interval, so that many locks share their requests. */
const GRID_PART = 50;
/** After a beat that moved nothing the next comes after this part of the ttl, so that several fit before the end. */
const RETRY_PART = 12;
/** ... but not sooner than after this many ms. */
const SHORTEST_RETRY = 100;

/** The last beat comes this part of the ttl before the lock is given up. */
const LAST_CHANCE_PART = 20;

/** A timer that is late by this part of the ttl did not fire because nothing could run. */
const BLOCKED_PART = 20;

const NO_VOTES: readonly NodeVote[] = [];

/** One timer for all locks of a client: beats that extend them, and a watchdog that ends them in time. */
export class Heartbeat {
  readonly #timers: TimerHeap;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(clock: Clock, random: Random) {
    this.#timers = new TimerHeap(clock);
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Keeps a granted lock alive until the returned beat is stopped.
   * @param interval milliseconds between two extends; `false` leaves only the watchdog.
   */
  keep(lease: Lease, interval: number | false, listener: HeartbeatListener): Beat {
    const beat = new Beat(lease, interval, listener, this.#timers, this.#clock, this.#random);
    this.#timers.add(beat);
    return beat;
  }
}

/** The heartbeat and the watchdog of one lock. */
export class Beat implements Task {
  readonly #lease: Lease;
  readonly #interval: number | false;
  readonly #listener: HeartbeatListener;
  readonly #timers: TimerHeap;
  readonly #clock: Clock;
  readonly #random: Random;
  #nextBeat: number;
  #over = false;
  #lastVotes: readonly NodeVote[] = NO_VOTES;

  constructor(
    lease: Lease,
    interval: number | false,
    listener: HeartbeatListener,
    timers: TimerHeap,
    clock: Clock,
    random: Random,
  ) {
    this.#lease = lease;
    this.#interval = interval;
    this.#listener = listener;
    this.#timers = timers;
    this.#clock = clock;
    this.#random = random;
    this.#nextBeat = this.#onGrid(clock.now());
    lease.onShortened = () => timers.update(this);
  }

  get due(): number {
    return Math.min(this.#nextBeat, this.#lease.usableUntil);
  }

  keep(now: number): void {
    // The watchdog first, and independent of any answer: an extend may hang, the deadline does not wait.
    if (now >= this.#lease.usableUntil) {
      this.#lose(this.#overdue(now));
    } else if (now >= this.#nextBeat) {
      this.#nextBeat = Infinity;
      this.beat();
    }
  }

  /** Extends now, by `ttl` or the lock's own. `settle` runs with what it came to. */
  beat(ttl: number = this.#lease.grantedTtl, settle?: (outcome: ExtendOutcome) => void): void {
    const sentAt = this.#clock.now();
    const before = this.#lease.validUntil;
    this.#lease.extend(ttl, (outcome) => {
      this.#extended(outcome, sentAt, before);
      settle?.(outcome);
    });
  }

  #extended(outcome: ExtendOutcome, sentAt: number, before: number): void {
    if (this.#over) return;
    if (outcome.kind === "lost") return this.#lose({ reason: "taken", votes: outcome.votes });
    const moved = this.#lease.validUntil > before;
    this.#lastVotes = moved || outcome.kind === "extended" ? NO_VOTES : outcome.votes;
    this.#nextBeat = moved ? this.#onGrid(sentAt) : this.#retryAt(this.#clock.now());
    this.#timers.update(this);
    if (moved) this.#listener.onExtended();
  }

  /** Ends beats and watchdog at once; nothing is called any more. Idempotent. */
  stop(): void {
    this.#over = true;
    this.#timers.remove(this);
  }

  /** Notices now what the timer would notice when it gets its turn. */
  check(): void {
    if (!this.#over) this.keep(this.#clock.now());
  }

  /** Why the lock was not extended in time. */
  #overdue(now: number): LossNotice {
    const votes = this.#lastVotes;
    if (this.#interval === false) return { reason: "ended", votes };
    const blockedFor = this.#timers.lateBy(now);
    const isBlocked = votes.length === 0 && blockedFor > this.#lease.grantedTtl / BLOCKED_PART;
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
    const { grantedTtl, usableUntil } = this.#lease;
    const pause = Math.max(grantedTtl / RETRY_PART, Math.min(SHORTEST_RETRY, this.#interval / 2));
    const next = now + pause * (0.75 + this.#random.fraction() / 2);
    // One more try rather than none, when the end comes before the next one has had its chance.
    const lastChance = usableUntil - grantedTtl / LAST_CHANCE_PART;
    return lastChance > now ? Math.min(next, lastChance) : next;
  }
}
