import type { Clock } from "../clock.ts";
import { LIVING_TURN, TURN } from "../lock/line-script.ts";
import type { Waiter } from "../lock/lining.ts";
import type { Fate, Home } from "./home.ts";
import { homeIn, isArriving, parseDetail } from "./place.ts";

/** Milliseconds by which a look may be early: a turn that has no more left has gone by. */
const EARLY = 30;

/** The calls of one process to those who wait for one key. */
export class Calls {
  /** Those who wait in this process, by place: how they are woken. */
  readonly living = new Map<string, () => void>();
  readonly #clock: Clock;
  readonly #home: (name: string) => Home | undefined;
  /** Whom this process has called last, and when. */
  #last: { readonly waiter: Pick<Waiter, "place" | "detail">; readonly at: number } | undefined;

  constructor(clock: Clock, home: (name: string) => Home | undefined) {
    this.#clock = clock;
    this.#home = home;
  }

  /** The waiter is called, and has the turn since `at`. */
  note(waiter: Waiter, at = this.#clock.now()): void {
    this.#last = { waiter, at };
  }

  /** Whether the waiter was the last that was called. */
  has({ place, detail }: Pick<Waiter, "place" | "detail">): boolean {
    const last = this.#last?.waiter;
    return last?.place === place && last.detail === detail;
  }

  /** Whether the waiter was called, and the turn went by. One that waits here is at work on it. */
  hasLapsed(waiter: Waiter): boolean {
    if (!this.has(waiter) || this.living.has(waiter.place)) return false;
    return this.#clock.now() - (this.#last?.at ?? 0) >= turnOf(waiter) - EARLY;
  }

  /** Whether this process can call those of the waiter's home. */
  canCall(waiter: Waiter): boolean {
    return this.#homeOf(waiter) !== undefined;
  }

  /** Calls one whose turn it is. */
  async call(waiter: Waiter): Promise<Fate> {
    const wake = this.living.get(waiter.place);
    if (wake !== undefined) {
      wake();
      return "called";
    }
    if (parseDetail(waiter.detail)?.state === "living") return "unknown";
    // It looks itself when it is parked.
    if (isArriving(waiter)) return "coming";
    return (await this.#homeOf(waiter)?.call(waiter)) ?? "unknown";
  }

  /** Calls one that is parked although it was called: the call was lost, or it was called while it arrived. */
  async callAgain(waiter: Waiter): Promise<Fate> {
    this.note(waiter);
    return (await this.#homeOf(waiter)?.call(waiter)) ?? "unknown";
  }

  /** One that does not wait in a queue and does not come has missed its turn, and joins again if it lives. */
  async fateOf(waiter: Waiter): Promise<Fate> {
    if (this.living.has(waiter.place)) return "coming";
    const state = parseDetail(waiter.detail)?.state;
    const fate = state === "living" ? "gone" : await this.#homeOf(waiter)?.look(waiter);
    return state === "arriving" && fate !== "called" ? "gone" : (fate ?? "unknown");
  }

  #homeOf({ place }: Waiter): Home | undefined {
    return this.#home(homeIn(place));
  }
}

/** Milliseconds for which a key is kept for a waiter. */
export function turnOf({ detail }: Pick<Waiter, "detail">): number {
  return parseDetail(detail)?.state === "living" ? LIVING_TURN : TURN;
}
