import type { Clock } from "../clock.ts";
import type { StoredWaiter } from "../lock/wait-list-hooks.ts";
import type { NextCheck } from "./next-check.ts";
import { RESERVATION } from "./reservations-lua.ts";
import { isArriving, isLive } from "./waiter.ts";
import type { Wakeups } from "./wakeups.ts";

/** Milliseconds within which a job that is about to be parked has usually been, and then has checked its keys itself. */
const ARRIVAL = 50;

/** Milliseconds within which a job that was woken has usually asked for its key. */
const START = 250;

/**
 * Looks again at the job that this process has woken last for a key: it may have ended without asking for the key, or ask for another
 * one, and the request that was to wake it may be lost.
 */
export class Looks {
  readonly #clock: Clock;
  readonly #wakeups: Wakeups;
  /** The waiter that is looked at, and since when it has been woken. */
  #looked: { readonly waiter: StoredWaiter; readonly since: number } | undefined;

  constructor(clock: Clock, wakeups: Wakeups) {
    this.#clock = clock;
    this.#wakeups = wakeups;
  }

  /** Plans the first look at a waiter that was woken just now. */
  plan(waiter: StoredWaiter): NextCheck {
    if (isLive(waiter) || !this.#wakeups.canLook(waiter)) return undefined;
    const now = this.#clock.now();
    this.#looked = { waiter, since: now };
    return { kind: "look", at: now + (isArriving(waiter) ? ARRIVAL : START) };
  }

  /** Looks at the waiter in its queue, unless another one has been woken since, and plans the next look twice as late. */
  async look(): Promise<NextCheck> {
    const looked = this.#looked;
    if (looked === undefined || !this.#wakeups.wasLast(looked.waiter)) return undefined;
    const { waiter, since } = looked;
    if (!this.#wakeups.canLook(waiter)) return undefined;
    const state = await this.#wakeups.stateOf(waiter);
    if (state === "gone") return { kind: "now", gone: [waiter] };
    // The request was lost, or came before the job was parked.
    if (state === "parked") await this.#wakeups.wakeAgain(waiter);
    // A worker has it now: it asks for the key. One that was not parked may have been active all the time.
    const isDone = state === "active" && !isArriving(waiter);
    const now = this.#clock.now();
    if (isDone || now - since >= RESERVATION) return undefined;
    return { kind: "look", at: now + (now - since) };
  }
}
