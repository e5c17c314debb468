import type { Clock } from "../clock.ts";
import { LIVING_TURN, TURN } from "../lock/line-script.ts";
import type { Waiter } from "../lock/lining.ts";
import type { Fate, Home } from "./home.ts";
import { homeIn, isAbsentee, isArriving, parseDetail } from "./place.ts";

/** Milliseconds by which a look may be early: a turn that has no more left has gone by. */
const EARLY = 30;

/** Milliseconds until one that was about to be parked when it got its turn is called if it is parked: it looks itself before. */
const ARRIVAL = 50;

/** For how many ms a turn that went by is remembered: each of five masters may name another waiter. */
const REMEMBERED = 5 * TURN;

/** The calls of one process to those who wait for one key. */
export class Calls {
  /** Those who wait in this process, by place: how they are woken. */
  readonly living = new Map<string, () => void>();
  readonly #clock: Clock;
  readonly #home: (name: string) => Home | undefined;
  /** Whom this process has called last. */
  #last: Pick<Waiter, "place" | "detail"> | undefined;
  /** When it has called whom: masters that do not know of the same waiters can name one after the other in turn. */
  readonly #calledAt = new Map<string, number>();

  constructor(clock: Clock, home: (name: string) => Home | undefined) {
    this.#clock = clock;
    this.#home = home;
  }

  /** The waiter is called, and has the turn since `at`. */
  note(waiter: Waiter, at = this.#clock.now()): void {
    this.#last = waiter;
    for (const [other, time] of this.#calledAt) {
      if (time < at - REMEMBERED) this.#calledAt.delete(other);
    }
    this.#calledAt.set(nameOf(waiter), at);
  }

  /** Whether the waiter was the last that was called. */
  has({ place, detail }: Pick<Waiter, "place" | "detail">): boolean {
    return this.#last?.place === place && this.#last.detail === detail;
  }

  /** The masters keep the key for that place: if the last one called was another, its turn was cut short, and did not go by. */
  keptFor(place: string): void {
    const last = this.#last;
    if (last === undefined || last.place === place) return;
    const calledAt = this.#calledAt.get(nameOf(last)) ?? -Infinity;
    if (this.#clock.now() - calledAt < turnOf(last) - EARLY) this.#calledAt.delete(nameOf(last));
  }

  /** Whether the waiter was called, and the turn went by. One that waits here is at work on it. */
  hasLapsed(waiter: Waiter): boolean {
    const calledAt = this.#calledAt.get(nameOf(waiter));
    if (calledAt === undefined || this.living.has(waiter.place)) return false;
    return this.#clock.now() - calledAt >= turnOf(waiter) - EARLY;
  }

  /** Whether this process can call those of the waiter's home. */
  canCall(waiter: Waiter): boolean {
    return this.#homeOf(waiter) !== undefined;
  }

  /** One of them is likely to be called in a moment. */
  expect(waiter: Waiter): void {
    if (parseDetail(waiter.detail)?.state === "parked") this.#homeOf(waiter)?.expect(waiter);
  }

  /** Calls one whose turn it is; `onSent` runs when the call is on its way. */
  async call(waiter: Waiter, onSent?: () => void): Promise<Fate> {
    const wake = this.living.get(waiter.place);
    if (wake !== undefined) {
      wake();
      return "called";
    }
    if (parseDetail(waiter.detail)?.state === "living") return "unknown";
    if (isAbsentee(waiter)) {
      const fate = (await this.#homeOf(waiter)?.look(waiter)) ?? "unknown";
      return fate === "taken up" ? "coming" : fate;
    }
    if (isArriving(waiter)) {
      // It looks itself when it is parked, unless its process dies in between.
      this.#clock.timer(ARRIVAL, () => void this.#callParked(waiter));
      return "coming";
    }
    return (await this.#homeOf(waiter)?.call(waiter, onSent)) ?? "unknown";
  }

  /** Calls one that is parked although it was called: the call was lost, or it was called while it arrived. */
  async callAgain(waiter: Waiter): Promise<Fate> {
    this.note(waiter);
    return (await this.#homeOf(waiter)?.call(waiter)) ?? "unknown";
  }

  /**
   * One that waits in a process and does not come has missed its turn, and joins again if it lives; so does one that arrives,
   * if its queue says that it is not parked. Of those of other queues nothing is known.
   */
  async fateOf(waiter: Waiter): Promise<Fate> {
    if (this.living.has(waiter.place)) return "coming";
    const state = parseDetail(waiter.detail)?.state;
    if (state === "living") return "gone";
    const fate = (await this.#homeOf(waiter)?.look(waiter)) ?? "unknown";
    return state === "arriving" && (fate === "coming" || fate === "taken up") ? "gone" : fate;
  }

  /** Calls one that arrived, if it is parked by now. */
  async #callParked(waiter: Waiter): Promise<void> {
    const home = this.#homeOf(waiter);
    if ((await home?.look(waiter)) === "called") await home?.call(waiter);
  }

  #homeOf({ place }: Waiter): Home | undefined {
    return this.#home(homeIn(place));
  }
}

function nameOf({ place, detail }: Pick<Waiter, "place" | "detail">): string {
  return `${detail} ${place}`;
}

/** Milliseconds for which a key is kept for a waiter. */
export function turnOf({ detail }: Pick<Waiter, "detail">): number {
  return parseDetail(detail)?.state === "living" ? LIVING_TURN : TURN;
}
