import type { Clock } from "../clock.ts";
import { keyOfSlot } from "../lock/slots.ts";
import type { StoredWaiter } from "../lock/wait-list-hooks.ts";
import type { JobState, QueueAdapter, QueueAdapters } from "./queue-adapter.ts";
import { LIVE_RESERVATION, RESERVATION } from "./reservations-lua.ts";
import {
  isAbsentee,
  isAheadOfMove,
  isArriving,
  isLive,
  parseWaiterRecord,
  queueIdIn,
} from "./waiter.ts";

/** Milliseconds by which a check may be early: a reservation with less left has expired. */
const EARLY = 30;

/** Milliseconds until a waiter is woken again that is not parked yet: doubled each time, up to the longest; then the key is due. */
const SHORTEST_PARKING = 5;
const LONGEST_PARKING = 80;

/** Milliseconds for which an expired reservation is remembered: each of five masters may name another waiter. */
const REMEMBERED = 5 * RESERVATION;

/**
 * When this process has woken each waiter of a key, the oldest first: masters that know different waiters can name them alternately,
 * and those of a key with a limit can name a waiter for one slot after the other.
 */
export type WokenAt = Map<string, number>;

/** The wake-ups of one process for the waiters of one key, at one of its slots. */
export class Wakeups {
  /** The live waiters of this process, by position, with what wakes them. */
  readonly live = new Map<string, () => void>();
  readonly #key: string;
  readonly #clock: Clock;
  readonly #adapters: QueueAdapters;
  /** The waiter that this process has woken last, and when. */
  #last: Pick<StoredWaiter, "position" | "record"> | undefined;
  #lastAt = -Infinity;
  readonly #wokenAt: WokenAt;

  /**
   * @param slot the name of the slot.
   * @param wokenAt is shared by the slots of the key.
   */
  constructor(slot: string, clock: Clock, adapters: QueueAdapters, wokenAt: WokenAt) {
    this.#key = keyOfSlot(slot);
    this.#clock = clock;
    this.#adapters = adapters;
    this.#wokenAt = wokenAt;
  }

  /** Remembers that the waiter is woken, and has the reservation since `at`. */
  note(waiter: StoredWaiter, at = this.#clock.now()): void {
    this.#last = waiter;
    this.#lastAt = at;
    for (const [other, time] of this.#wokenAt) {
      if (time >= at - REMEMBERED) break;
      this.#wokenAt.delete(other);
    }
    // The oldest first: a hot key has thousands.
    const identity = identityOf(waiter);
    this.#wokenAt.delete(identity);
    this.#wokenAt.set(identity, at);
  }

  /** Whether the waiter was woken last. */
  wasLast({ position, record }: Pick<StoredWaiter, "position" | "record">): boolean {
    return this.#last?.position === position && this.#last.record === record;
  }

  /** The key is reserved for that position: if another waiter was woken last, its reservation was cut short, and did not expire. */
  noteReservation(position: string): void {
    const last = this.#last;
    if (last === undefined || last.position === position) return;
    if (this.#clock.now() - this.#lastAt >= reservationMs(last) - EARLY) return;
    // It may have been woken for another slot since.
    if (this.#wokenAt.get(identityOf(last)) === this.#lastAt)
      this.#wokenAt.delete(identityOf(last));
  }

  /** Whether the waiter was woken, and its reservation has expired. A live waiter of this process is about to ask. */
  hasExpired(waiter: StoredWaiter): boolean {
    const wokenAt = this.#wokenAt.get(identityOf(waiter));
    if (wokenAt === undefined || this.live.has(waiter.position)) return false;
    return this.#clock.now() - wokenAt >= reservationMs(waiter) - EARLY;
  }

  /** Has all live waiters of this process ask for the key: those that are in no wait list any more join again. */
  wakeLive(): void {
    for (const wake of this.live.values()) wake();
  }

  /** Whether this process can wake the waiters of that queue. */
  canWake(waiter: StoredWaiter): boolean {
    return this.#adapterOf(waiter) !== undefined;
  }

  /** Whether this process can look at the waiters of that queue later. */
  canLook(waiter: StoredWaiter): boolean {
    return this.#adapterOf(waiter)?.isClosing === false;
  }

  /** Wakes a parked waiter before its key is free; `undefined` when it is not parked, or in another queue. */
  wakeEarly(waiter: StoredWaiter): Promise<JobState> | undefined {
    if (parseWaiterRecord(waiter.record)?.state !== "parked") return undefined;
    const waking = this.#adapterOf(waiter)?.wake(waiter);
    return waking && this.#untilParked(waiter, waking);
  }

  /** Wakes a waiter that has the reservation; `onSent` runs when the request is sent. */
  async wake(waiter: StoredWaiter, onSent?: () => void): Promise<JobState> {
    const wakeLive = this.live.get(waiter.position);
    if (wakeLive !== undefined) {
      wakeLive();
      return "woken";
    }
    if (isLive(waiter)) return "unknown";
    const adapter = this.#adapterOf(waiter);
    if (isAbsentee(waiter)) {
      const state = (await adapter?.stateOf(waiter, this.#key)) ?? "unknown";
      return state === "active" ? "on-its-way" : state;
    }
    // It checks its keys when it is parked, unless its process dies before.
    if (isArriving(waiter)) return "on-its-way";
    return adapter === undefined
      ? "unknown"
      : this.#untilParked(waiter, adapter.wake(waiter, onSent));
  }

  /** Wakes the waiter again in a moment if it is not parked yet. */
  async #untilParked(
    waiter: StoredWaiter,
    waking: Promise<JobState>,
    ms = SHORTEST_PARKING,
  ): Promise<JobState> {
    const state = await waking;
    // Its worker has not moved it yet.
    if (state === "parking" && ms <= LONGEST_PARKING) {
      this.#clock.timer(ms, () => {
        const again = this.#adapterOf(waiter)?.wake(waiter);
        if (again !== undefined) void this.#untilParked(waiter, again, 2 * ms);
      });
    }
    return state;
  }

  /** Lets a parked waiter come back by itself in time if every process that could wake it is gone by then. */
  hasten(waiter: StoredWaiter): void {
    if (parseWaiterRecord(waiter.record)?.state !== "parked") return;
    void this.#adapterOf(waiter)?.hasten(waiter);
  }

  /** Wakes a job that is parked although it was woken, whatever its record says. */
  async wakeAgain(waiter: StoredWaiter): Promise<void> {
    await this.#adapterOf(waiter)?.wake(waiter);
  }

  /** The state of a waiter that has missed no reservation. Nothing is known of the jobs of other queues, and of live waiters elsewhere. */
  async stateOf(waiter: StoredWaiter): Promise<JobState> {
    if (this.live.has(waiter.position)) return "on-its-way";
    if (isLive(waiter)) return "unknown";
    return (await this.#adapterOf(waiter)?.stateOf(waiter, this.#key)) ?? "unknown";
  }

  /**
   * The state of a waiter whose reservation has expired: `active` where its process has not used it. Such a process is dead, or was
   * stopped, and then its waiters join again: live ones, and jobs that are not parked yet.
   */
  async stateAfterExpiry(waiter: StoredWaiter): Promise<JobState> {
    if (isLive(waiter)) return "active";
    const state = await this.stateOf(waiter);
    return isArriving(waiter) && state === "on-its-way" ? "active" : state;
  }

  #adapterOf({ position }: StoredWaiter): QueueAdapter | undefined {
    return this.#adapters.of(queueIdIn(position));
  }
}

function identityOf({ position, record }: Pick<StoredWaiter, "position" | "record">): string {
  return `${record} ${position}`;
}

/** Milliseconds for which a key is reserved for a waiter. */
export function reservationMs(waiter: Pick<StoredWaiter, "record">): number {
  return isLive(waiter) ? LIVE_RESERVATION : RESERVATION;
}

/** Whether a waiter in this state has lost the reservation that has expired: it is gone, or its process has not used it. */
export function isOver(state: JobState): boolean {
  return state === "gone" || state === "active" || state === "parking";
}

/** Whether the state of a waiter whose reservation has expired shows that the process of its record is dead, or was stopped. */
export function hasMissed(waiter: StoredWaiter, state: JobState): boolean {
  // A job that joined ahead of its move may have been woken since, and be active in another process.
  return state === (isAheadOfMove(waiter) ? "parking" : "active");
}
