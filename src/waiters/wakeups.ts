import type { Clock } from "../clock.ts";
import { LIVE_RESERVATION, RESERVATION } from "./wait-list-lua.ts";
import type { StoredWaiter } from "../lock/wait-list-hooks.ts";
import type { JobState, QueueAdapter } from "./queue-adapter.ts";
import { queueIdIn, isAbsentee, isArriving, parseWaiterRecord } from "./waiter.ts";

/** Milliseconds by which a look may be early: a turn that has no more left has gone by. */
const EARLY = 30;

/** Milliseconds until one that was about to be parked when it got its turn is called if it is parked: it looks itself before. */
const ARRIVAL = 50;

/** For how many ms a turn that went by is remembered: each of five masters may name another waiter. */
const REMEMBERED = 5 * RESERVATION;

/** The calls of one process to those who wait for one key. */
export class Wakeups {
  /** Those who wait in this process, by place: how they are woken. */
  readonly live = new Map<string, () => void>();
  readonly #clock: Clock;
  readonly #findAdapter: (queueId: string) => QueueAdapter | undefined;
  /** Whom this process has called last. */
  #last: Pick<StoredWaiter, "position" | "record"> | undefined;
  /** When it has called whom: masters that do not know of the same waiters can name one after the other in turn. */
  readonly #calledAt = new Map<string, number>();

  constructor(clock: Clock, adapterOf: (queueId: string) => QueueAdapter | undefined) {
    this.#clock = clock;
    this.#findAdapter = adapterOf;
  }

  /** The waiter is called, and has the turn since `at`. */
  note(waiter: StoredWaiter, at = this.#clock.now()): void {
    this.#last = waiter;
    for (const [other, time] of this.#calledAt) {
      if (time < at - REMEMBERED) this.#calledAt.delete(other);
    }
    this.#calledAt.set(nameOf(waiter), at);
  }

  /** Whether the waiter was the last that was called. */
  has({ position, record }: Pick<StoredWaiter, "position" | "record">): boolean {
    return this.#last?.position === position && this.#last.record === record;
  }

  /** The masters keep the key for that place: if the last one called was another, its turn was cut short, and did not go by. */
  keptFor(position: string): void {
    const last = this.#last;
    if (last === undefined || last.position === position) return;
    const calledAt = this.#calledAt.get(nameOf(last)) ?? -Infinity;
    if (this.#clock.now() - calledAt < reservationOf(last) - EARLY)
      this.#calledAt.delete(nameOf(last));
  }

  /** Whether the waiter was called, and the turn went by. One that waits here is at work on it. */
  hasLapsed(waiter: StoredWaiter): boolean {
    const calledAt = this.#calledAt.get(nameOf(waiter));
    if (calledAt === undefined || this.live.has(waiter.position)) return false;
    return this.#clock.now() - calledAt >= reservationOf(waiter) - EARLY;
  }

  /** Whether this process can call those of the waiter's home. */
  canCall(waiter: StoredWaiter): boolean {
    return this.#adapterOf(waiter) !== undefined;
  }

  /** One of them is likely to be called in a moment. */
  expect(waiter: StoredWaiter): void {
    if (parseWaiterRecord(waiter.record)?.state === "parked")
      this.#adapterOf(waiter)?.expect(waiter);
  }

  /** Calls one whose turn it is; `onSent` runs when the call is on its way. */
  async call(waiter: StoredWaiter, onSent?: () => void): Promise<JobState> {
    const wake = this.live.get(waiter.position);
    if (wake !== undefined) {
      wake();
      return "called";
    }
    if (parseWaiterRecord(waiter.record)?.state === "living") return "unknown";
    if (isAbsentee(waiter)) {
      const fate = (await this.#adapterOf(waiter)?.look(waiter)) ?? "unknown";
      return fate === "taken up" ? "coming" : fate;
    }
    if (isArriving(waiter)) {
      // It looks itself when it is parked, unless its process dies in between.
      this.#clock.timer(ARRIVAL, () => void this.#callParked(waiter));
      return "coming";
    }
    return (await this.#adapterOf(waiter)?.call(waiter, onSent)) ?? "unknown";
  }

  /** Calls one that is parked although it was called: the call was lost, or it was called while it arrived. */
  async callAgain(waiter: StoredWaiter): Promise<JobState> {
    this.note(waiter);
    return (await this.#adapterOf(waiter)?.call(waiter)) ?? "unknown";
  }

  /**
   * One that waits in a process and does not come has missed its turn, and joins again if it lives; so does one that arrives,
   * if its queue says that it is not parked. Of those of other queues nothing is known.
   */
  async fateOf(waiter: StoredWaiter): Promise<JobState> {
    if (this.live.has(waiter.position)) return "coming";
    const state = parseWaiterRecord(waiter.record)?.state;
    if (state === "living") return "gone";
    const fate = (await this.#adapterOf(waiter)?.look(waiter)) ?? "unknown";
    return state === "arriving" && (fate === "coming" || fate === "taken up") ? "gone" : fate;
  }

  /** Calls one that arrived, if it is parked by now. */
  async #callParked(waiter: StoredWaiter): Promise<void> {
    const adapter = this.#adapterOf(waiter);
    if ((await adapter?.look(waiter)) === "called") await adapter?.call(waiter);
  }

  #adapterOf({ position }: StoredWaiter): QueueAdapter | undefined {
    return this.#findAdapter(queueIdIn(position));
  }
}

function nameOf({ position, record }: Pick<StoredWaiter, "position" | "record">): string {
  return `${record} ${position}`;
}

/** Milliseconds for which a key is kept for a waiter. */
export function reservationOf({ record }: Pick<StoredWaiter, "record">): number {
  return parseWaiterRecord(record)?.state === "living" ? LIVE_RESERVATION : RESERVATION;
}
