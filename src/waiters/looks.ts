import type { Clock } from "../clock.ts";
import type { StoredWaiter } from "../lock/wait-list-hooks.ts";
import type { Task, TimerHeap } from "../timer-heap.ts";
import type { JobState } from "./queue-adapter.ts";
import { RESERVATION } from "./reservations-lua.ts";
import { isArriving, isLive } from "./waiter.ts";
import type { Wakeups } from "./wakeups.ts";

/** Milliseconds within which a job that is about to be parked has usually been, and then has checked its keys itself. */
const ARRIVAL = 50;

/** Milliseconds within which a job that was woken has usually asked for its key. */
const START = 250;

/** What {@link Looks} work with. */
interface LooksParts {
  readonly clock: Clock;
  readonly timers: TimerHeap;
  readonly wakeups: Wakeups;
  /** The last look was made; the waiter is given if it is gone. */
  ended(gone: StoredWaiter | undefined): void;
}

/**
 * Looks again at the job that this process has woken last for a key: it may have ended without asking for the key, or ask for another
 * one, and the request that was to wake it may be lost.
 */
export class Looks implements Task {
  due = Infinity;
  readonly #parts: LooksParts;
  /** The waiter that is looked at, and since when it has been woken. */
  #looked: { readonly waiter: StoredWaiter; readonly since: number } | undefined;
  #ended = false;

  constructor(parts: LooksParts) {
    this.#parts = parts;
  }

  /** Whether another look is planned, or under way. */
  get isPending(): boolean {
    return this.#looked !== undefined;
  }

  /** Plans the first look at a waiter that was woken just now. */
  plan(waiter: StoredWaiter): void {
    const { clock, wakeups } = this.#parts;
    if (this.#ended || isLive(waiter) || !wakeups.canLook(waiter)) return;
    this.#looked = { waiter, since: clock.now() };
    this.#lookIn(isArriving(waiter) ? ARRIVAL : START);
  }

  /** {@link Task} */
  run(): void {
    this.#parts.timers.remove(this);
    void this.#look();
  }

  /** Looks no more. */
  end(): void {
    this.#ended = true;
    this.#looked = undefined;
    this.#parts.timers.remove(this);
  }

  /** Looks at the waiter in its queue, and plans the next look twice as late. */
  async #look(): Promise<void> {
    const looked = this.#looked;
    if (looked === undefined) return;
    const { waiter, since } = looked;
    const state = await this.#stateOf(waiter);
    // Another one has been woken.
    if (this.#looked !== looked) return;
    // The request was lost, or came before the job was parked.
    if (state === "parked") await this.#parts.wakeups.wakeAgain(waiter);
    // A worker has it now: it asks for the key. One that was not parked may have been active all the time.
    const isDone = state === "active" && !isArriving(waiter);
    const age = this.#parts.clock.now() - since;
    if (state !== undefined && state !== "gone" && !isDone && age < RESERVATION) {
      return this.#lookIn(age);
    }
    this.#looked = undefined;
    this.#parts.ended(state === "gone" ? waiter : undefined);
  }

  /** The state of the waiter; `undefined` when another process sees to the key, or when the worker is about to close. */
  async #stateOf(waiter: StoredWaiter): Promise<JobState | undefined> {
    const { wakeups } = this.#parts;
    if (!wakeups.wasLast(waiter) || !wakeups.canLook(waiter)) return undefined;
    return await wakeups.stateOf(waiter);
  }

  #lookIn(ms: number): void {
    this.due = this.#parts.clock.now() + ms;
    this.#parts.timers.add(this);
  }
}
