import type { LockContext } from "../lock/lock-context.ts";
import type { StoredWaiter } from "../lock/wait-list-hooks.ts";
import type { ReservationDecision } from "./decide-reservation.ts";
import type { Looks } from "./looks.ts";
import { CHECK_INTERVAL, type NextCheck } from "./next-check.ts";
import type { JobState } from "./queue-adapter.ts";
import { askMasters, ReservationTally } from "./reservation-tally.ts";
import type { UnresponsiveQueues } from "./unresponsive-queues.ts";
import { hasMissed, isOver, type Wakeups, reservationMs } from "./wakeups.ts";
import {
  compareWaiters,
  dependTogether,
  isArriving,
  isRetry,
  limitOf,
  queueIdIn,
} from "./waiter.ts";

/** For how many milliseconds a waiter is taken to be the next one: as long as jobs run to which a round trip matters. */
const FRESH = 250;

/** A record that no waiter has: takes the reservation from a position that is in no wait list, and nothing else. */
const IN_NO_LIST = "?";

/** The reservations of one key that this process makes: each is used, or passes to the next waiter. */
export class Reservations {
  readonly #context: LockContext;
  readonly #key: string;
  readonly #wakeups: Wakeups;
  readonly #looks: Looks;
  readonly #unresponsive: UnresponsiveQueues;
  /** The waiter after the last one that got the reservation. */
  #next: StoredWaiter | undefined;
  #nextAt = -Infinity;
  /** The waiter whose alarm this process has set earlier last. */
  #hastened: StoredWaiter | undefined;
  /** The waiter that was woken together with the release, before the masters have named it. */
  #wokenEarly:
    | { readonly waiter: StoredWaiter; readonly at: number; readonly state: Promise<JobState> }
    | undefined;
  /** The waiter that keeps the reservation without being woken, because it waits for other keys. */
  #heldBack: { readonly position: string; readonly until: number } | undefined;
  /** The last waiter that the reservation was to pass on from. */
  #passedFrom: { readonly position: string; readonly at: number } | undefined;

  constructor(
    key: string,
    context: LockContext,
    wakeups: Wakeups,
    looks: Looks,
    unresponsive: UnresponsiveQueues,
  ) {
    this.#key = key;
    this.#context = context;
    this.#wakeups = wakeups;
    this.#looks = looks;
    this.#unresponsive = unresponsive;
  }

  /**
   * The key is about to be released, in this very tick. The next waiter, if it is known, is woken at once: its request for the key
   * arrives after the release, which reserves the key for it.
   * @returns whether a parked job was woken.
   */
  beforeRelease(): boolean {
    const next = this.#next;
    this.#next = undefined;
    if (next === undefined) return false;
    const wake = this.#wakeups.live.get(next.position);
    if (wake !== undefined) {
      wake();
      return false;
    }
    // With a limit, holders in other processes hand over to the same waiters: the next one is not known.
    if (limitOf(next) > 1 || this.#now() - this.#nextAt >= FRESH) return false;
    const state = this.#wakeups.wakeEarly(next);
    if (state === undefined) return false;
    this.#wokenEarly = { waiter: next, at: this.#now(), state };
    return true;
  }

  /** Keeps the free key for `life` ms for a waiter that is not to be woken yet. */
  holdBack(waiter: Omit<StoredWaiter, "priority">, life: number): void {
    this.#heldBack = { position: waiter.position, until: this.#now() + life };
    void this.#reserveOnAll(waiter, life, false);
  }

  /** Ends {@link holdBack}: the waiter is woken when the key is reserved for it. */
  stopHoldingBack(position: string): void {
    if (this.#heldBack?.position === position) this.#heldBack = undefined;
  }

  /**
   * Wakes the waiter that the first masters have named, once for a tally.
   * @param onSent runs when the request is sent.
   */
  async wakeFirst(
    tally: ReservationTally,
    { head, next, missed }: ReservationDecision & { kind: "next" },
    onSent: () => void,
  ): Promise<NextCheck> {
    tally.chosen = head;
    const [second] = next;
    this.#next = second;
    this.#nextAt = this.#now();
    this.#hastenOneOf(head, next);
    this.#unresponsive.named(queueIdIn(head.position), tally.askedAt);
    // The process that made that reservation may be gone, and this one knows nothing of it.
    const isAbsent = missed && !this.#wakeups.canWake(head);
    if (isAbsent || this.#wakeups.hasExpired(head)) {
      const state = await this.#wakeups.stateAfterExpiry(head);
      tally.gone = isOver(state);
      return await this.#passFrom(head, state, next);
    }
    this.#wakeups.note(head);
    this.#context.slotChoice.reserved(this.#key, head);
    const isGone = tally.passesOver && (await this.#wakeups.stateOf(head)) === "gone";
    tally.gone = isGone || (await this.#wake(tally, head, onSent)) === "gone";
    if (tally.gone) return await this.#dropGone(head, next);
    this.#looks.plan(head);
    return undefined;
  }

  /**
   * A job that was parked behind many others comes back by itself late. One that is near the front comes back soon: the processes of
   * its queue may be gone when its turn comes. Each third or so is enough.
   */
  #hastenOneOf(head: StoredWaiter, next: readonly StoredWaiter[]): void {
    // @protection a job near the front comes back by itself soon
    const isDue = this.#hastened === undefined || compareWaiters(head, this.#hastened) >= 0;
    const last = next.findLast((waiter) => this.#wakeups.canWake(waiter));
    if (!isDue || last === undefined) return;
    this.#hastened = last;
    this.#wakeups.hasten(last);
  }

  /** Wakes a waiter, unless it was woken together with the release. */
  #wake({ askedAt }: ReservationTally, head: StoredWaiter, onSent: () => void): Promise<JobState> {
    const early = this.#wokenEarly;
    this.#wokenEarly = undefined;
    const isWoken =
      early?.waiter.position === head.position &&
      early.waiter.record === head.record &&
      early.at >= askedAt;
    if (!isWoken) return this.#wakeups.wake(head, onSent);
    onSent();
    return early.state;
  }

  /**
   * Makes all masters reserve the key for the chosen waiter, once for each late answer that differs. An arriving waiter may have the
   * key already, and be gone again: no reservation is changed for it, unless no waiter can acquire the key otherwise.
   */
  align(
    { chosen, gone }: ReservationTally,
    { head, dissent, blocked }: ReservationDecision & { kind: "next" },
  ): void {
    if (chosen === undefined || gone || (isArriving(chosen) && !blocked)) return;
    if (dissent || chosen.position !== head.position) {
      void this.#reserveOnAll(chosen, reservationMs(chosen), true);
    }
  }

  /**
   * Makes all masters reserve the key for the same waiter, and wakes it if this process can: it may have been woken before it was
   * parked, or the message was lost.
   */
  async confirm({
    position,
    record,
    dissent,
    blocked,
    expiresIn,
  }: ReservationDecision & { kind: "reserved" }): Promise<NextCheck> {
    // The waiter has left, and the reservation was made after that.
    if (record === "") return { kind: "now", gone: [{ position, record: IN_NO_LIST }] };
    const waiter = { position, record, priority: 0 };
    // The key is due again in a moment, for any process of the queue of the job.
    if (isRetry(waiter)) return undefined;
    this.#wakeups.noteReservation(position);
    if (this.#isHeldBack(position)) return await this.#confirmHeldBack(waiter);
    // Another process has reserved the key for it once more.
    if (this.#wakeups.hasExpired(waiter)) {
      return await this.#passFrom(waiter, await this.#wakeups.stateAfterExpiry(waiter));
    }
    if (dissent && (blocked || !isArriving(waiter)))
      await this.#reserveOnAll(waiter, reservationMs(waiter), false);
    // @protection a job that was parked while its key was reserved is woken
    if (this.#wakeups.wasLast(waiter)) return undefined;
    if (!this.#wakeups.canWake(waiter)) return undefined;
    const reservedAt = this.#now() + Math.min(0, expiresIn - reservationMs(waiter));
    this.#wakeups.note(waiter);
    const state = await this.#wakeups.wake(waiter);
    if (state === "gone") return { kind: "now", gone: [waiter] };
    // It was woken when the key was reserved for it, and gets no second reservation.
    const isWoken = state === "woken" || state === "parked";
    if (!isWoken && this.#wakeups.wasLast(waiter)) this.#wakeups.note(waiter, reservedAt);
    this.#looks.plan(waiter);
    return undefined;
  }

  #isHeldBack(position: string): boolean {
    return this.#heldBack?.position === position && this.#now() < this.#heldBack.until;
  }

  /** Those of the jobs for which masters keep the key that will not run again. */
  async goneOf(retries: readonly StoredWaiter[]): Promise<StoredWaiter[]> {
    // @protection a key is not kept for a job that will not run again
    const states = await Promise.all(retries.map((waiter) => this.#wakeups.stateOf(waiter)));
    return retries.filter((_, index) => states[index] === "gone");
  }

  /** A waiter that waits for other keys may go, and then no client asks for the key that it leaves. */
  async #confirmHeldBack(waiter: StoredWaiter): Promise<NextCheck> {
    const state = await this.#wakeups.stateOf(waiter);
    if (state === "gone") return { kind: "now", gone: [waiter] };
    return { kind: "by", at: this.#now() + CHECK_INTERVAL };
  }

  /** Passes the reservation on, since this waiter has not used it. */
  async #passFrom(
    waiter: StoredWaiter,
    state: JobState,
    next: readonly StoredWaiter[] = [],
  ): Promise<NextCheck> {
    // An active job could have asked for its key: its worker is dead, and the queue is not unresponsive.
    if (isOver(state)) return await this.#dropGone(waiter, next, state);
    const stuck = this.#stuckAt(waiter);
    if (stuck !== undefined) return stuck;
    this.#unresponsive.skip(queueIdIn(waiter.position));
    return { kind: "now", gone: [] };
  }

  /** Removes a waiter that is gone, or whose process has not used its reservation, and those after it of which the same is true. */
  async #dropGone(
    head: StoredWaiter,
    next: readonly StoredWaiter[],
    headState: JobState = "gone",
  ): Promise<NextCheck> {
    const stuck = this.#stuckAt(head);
    if (stuck !== undefined) return stuck;
    // A job that has missed no reservation stays in the wait list, though it is active, unless its process has missed one.
    const isGone = async (waiter: StoredWaiter): Promise<boolean> => {
      // @protection the waiters of a dead process are passed over together
      const isDead = hasMissed(head, headState) && dependTogether(head, waiter);
      const state = await (isDead
        ? this.#wakeups.stateAfterExpiry(waiter)
        : this.#wakeups.stateOf(waiter));
      return state === "gone" || (isDead && hasMissed(waiter, state));
    };
    const areGone = await Promise.all(next.map(isGone));
    const firstAlive = areGone.indexOf(false);
    const alsoGone = next.slice(0, firstAlive === -1 ? undefined : firstAlive);
    return { kind: "now", gone: [head, ...alsoGone] };
  }

  /** Plans a later check for a waiter that the reservation was to leave just now: masters that cannot do so are not asked endlessly. */
  #stuckAt(waiter: StoredWaiter): NextCheck {
    const now = this.#now();
    const last = this.#passedFrom;
    if (last?.position === waiter.position && now < last.at + CHECK_INTERVAL) {
      return { kind: "by", at: now + CHECK_INTERVAL };
    }
    this.#passedFrom = { position: waiter.position, at: now };
    return undefined;
  }

  /** Reserves the key for a waiter on all masters; with `wakes`, the process that can wake it does so. */
  async #reserveOnAll(
    { position, record }: Omit<StoredWaiter, "priority">,
    life: number,
    wakes: boolean,
  ): Promise<void> {
    const question = { gone: [], position, record, wakes, life };
    const live = this.#wakeups.live.size > 0;
    const asked = { ...question, live, skipped: this.#unresponsive.list() };
    const tally = new ReservationTally(this.#context, this.#key);
    // The waiter needs nothing else: it is woken by a message, asks by itself, or is on its way.
    await askMasters(this.#context, this.#key, tally, asked, () => {});
  }

  #now(): number {
    return this.#context.clock.now();
  }
}
