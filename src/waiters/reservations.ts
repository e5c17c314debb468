import type { Clock } from "../clock.ts";
import type { Serving } from "./serve-operation.ts";
import type { StoredWaiter } from "../lock/wait-list-hooks.ts";
import { type Wakeups, reservationOf } from "./wakeups.ts";
import type { ReservationDecision } from "./decide-reservation.ts";
import type { JobState } from "./queue-adapter.ts";
import { queueIdIn, isAbsentee, isArriving } from "./waiter.ts";
import type { ReservationTally } from "./reservation-tally.ts";
import type { UnresponsiveQueues } from "./unresponsive-queues.ts";

/** Milliseconds between two looks while somebody waits in this process, or while masters are silent. */
export const LOOK_INTERVAL = 1_000;

/** A detail that no waiter has: takes the turn from a place that is in no line, and nothing else. */
const IN_NO_LINE = "?";

/** What {@link Reservations} ask of the line. */
interface ServedLine {
  /** Takes out those who are gone, and gives the turn to the next. */
  look(options?: { gone?: Serving["gone"] }): Promise<void>;
  keepFor(waiter: Omit<StoredWaiter, "priority">, life: number, wakes: boolean): Promise<void>;
  lookBy(at: number): void;
}

/** What {@link Reservations} work with. */
export interface ReservationsParts {
  readonly waitLists: ServedLine;
  readonly clock: Clock;
  readonly wakeups: Wakeups;
  readonly unresponsive: UnresponsiveQueues;
}

/** The turns of one key, as far as this process gives them: sees to it that each is used, or passes to the next. */
export class Reservations {
  readonly #waitLists: ServedLine;
  readonly #clock: Clock;
  readonly #wakeups: Wakeups;
  readonly #unresponsive: UnresponsiveQueues;
  /** Who came after the last one that got the turn. */
  #heir: StoredWaiter | undefined;
  /** For whom the key is kept although it is not called yet. */
  #reserved: { readonly position: string; readonly until: number } | undefined;
  /** Whom the line was to go on from last, and when. */
  #left: { readonly position: string; readonly at: number } | undefined;

  constructor({ waitLists, clock, wakeups, unresponsive }: ReservationsParts) {
    this.#waitLists = waitLists;
    this.#clock = clock;
    this.#wakeups = wakeups;
    this.#unresponsive = unresponsive;
  }

  /** The key is about to be given back, in this very tick. */
  foresee(): void {
    const heir = this.#heir;
    this.#heir = undefined;
    if (heir === undefined) return;
    const wake = this.#wakeups.live.get(heir.position);
    // The request of one that waits in this process travels right behind the release, which gives it the turn.
    if (wake === undefined) this.#wakeups.expect(heir);
    else wake();
  }

  /** The key is kept for `life` ms for one that is not called yet. */
  reserve(position: string, life: number): void {
    this.#reserved = { position, until: this.#clock.now() + life };
  }

  /** The place is called when it has its turn. */
  unreserve(position: string): void {
    if (this.#reserved?.position === position) this.#reserved = undefined;
  }

  /** Calls whom the first masters have named, once in a round, and has the others agree. */
  give(tally: ReservationTally, decision: ReservationDecision & { kind: "next" }): void {
    const { head, dissent, next } = decision;
    if (tally.chosen === undefined) {
      tally.chosen = head;
      this.#heir = next[0];
      this.#unresponsive.named(queueIdIn(head.position), tally.askedAt);
      tally.calling = new Promise((resolve) => {
        void this.#serve(tally, decision, resolve).then(resolve);
      });
    }
    // Once for each late voice: the masters then agree.
    // One that arrives may have the key already, and be gone again: for it nobody's turn is changed.
    const spreads = !tally.gone && !isArriving(tally.chosen);
    if (spreads && (dissent || tally.chosen.position !== head.position)) {
      void this.#waitLists.keepFor(tally.chosen, reservationOf(tally.chosen), true);
    }
  }

  /**
   * Sees to it that all masters keep the key for the same one, and calls it if it is of a home of ours: it may have been
   * called before it was parked, or its call was not heard.
   */
  async confirm({
    position,
    record,
    dissent,
    expiresIn,
  }: ReservationDecision & { kind: "reserved" }): Promise<void> {
    // Nobody can be waiting there: it left, and a turn that was given meanwhile came after it.
    if (record === "")
      return await this.#waitLists.look({ gone: [{ position, record: IN_NO_LINE }] });
    const waiter = { position, record, priority: 0 };
    this.#wakeups.keptFor(position);
    if (this.#isReserved(position)) return await this.#confirmReserved(waiter);
    // Another process has called it once more.
    if (this.#wakeups.hasLapsed(waiter)) {
      return await this.#passOver(waiter, await this.#wakeups.fateOf(waiter));
    }
    if (dissent && !isArriving(waiter))
      await this.#waitLists.keepFor(waiter, reservationOf(waiter), false);
    if (this.#wakeups.has(waiter)) return;
    if (!this.#wakeups.canCall(waiter)) return;
    const givenAt = this.#clock.now() + Math.min(0, expiresIn - reservationOf(waiter));
    this.#wakeups.note(waiter);
    const fate = await this.#wakeups.call(waiter);
    if (fate === "gone") return await this.#waitLists.look({ gone: [waiter] });
    // It was called when it was given the turn, and is not given another one.
    if (fate !== "called" && this.#wakeups.has(waiter)) this.#wakeups.note(waiter, givenAt);
  }

  #isReserved(position: string): boolean {
    return this.#reserved?.position === position && this.#clock.now() < this.#reserved.until;
  }

  /** One that waits for other keys yet may go, and then nobody else asks for the key it left. */
  async #confirmReserved(waiter: StoredWaiter): Promise<void> {
    const fate = await this.#wakeups.fateOf(waiter);
    if (fate === "gone") return await this.#waitLists.look({ gone: [waiter] });
    this.#waitLists.lookBy(this.#clock.now() + LOOK_INTERVAL);
  }

  async #serve(
    tally: ReservationTally,
    { head, next }: ReservationDecision & { kind: "next" },
    onSent: () => void,
  ): Promise<void> {
    const lapsed = this.#wakeups.hasLapsed(head);
    if (!lapsed) this.#wakeups.note(head);
    const fate = await (lapsed ? this.#wakeups.fateOf(head) : this.#wakeups.call(head, onSent));
    tally.gone = fate === "gone" || (lapsed && fate === "taken up");
    if (lapsed) return await this.#passOver(head, fate, next);
    if (tally.gone) await this.#dropGone(head, next);
  }

  /** Gives the turn to the next, since this one has not used it. */
  async #passOver(
    waiter: StoredWaiter,
    fate: JobState,
    next: readonly StoredWaiter[] = [],
  ): Promise<void> {
    // A job that a worker has taken up could have asked for its key: the worker is dead, and its queue not to blame.
    if (fate === "gone" || fate === "taken up") return await this.#dropGone(waiter, next);
    // Its call was lost; or its process died when it had parked it, and before it said so.
    if (fate === "called" && (await this.#wakeups.callAgain(waiter)) !== "unknown") return;
    if (this.#isStuckAt(waiter)) return;
    this.#unresponsive.suspect(queueIdIn(waiter.position));
    await this.#waitLists.look();
  }

  /** Takes out a waiter that is gone, and those after it that are gone too; the next one gets the turn. */
  async #dropGone(head: StoredWaiter, next: readonly StoredWaiter[]): Promise<void> {
    if (this.#isStuckAt(head)) return;
    // One that has not asked for its key yet has missed no turn.
    const fates = await Promise.all(
      next.map(async (waiter) =>
        isAbsentee(waiter) ? "coming" : await this.#wakeups.fateOf(waiter),
      ),
    );
    const firstAlive = fates.findIndex((fate) => fate !== "gone");
    await this.#waitLists.look({
      gone: [head, ...next.slice(0, firstAlive === -1 ? undefined : firstAlive)],
    });
  }

  /** Whether the line was to go on from the waiter just now: masters that cannot do so are not asked without end. */
  #isStuckAt(waiter: StoredWaiter): boolean {
    const now = this.#clock.now();
    if (this.#left?.position === waiter.position && now < this.#left.at + LOOK_INTERVAL) {
      this.#waitLists.lookBy(now + LOOK_INTERVAL);
      return true;
    }
    this.#left = { position: waiter.position, at: now };
    return false;
  }
}
