import type { TimerHeap, Task } from "../timer-heap.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { numberOfSlot } from "../lock/slots.ts";
import type { ReservationReply, StoredWaiter } from "../lock/wait-list-hooks.ts";
import type { ReservationDecision } from "./decide-reservation.ts";
import type { QueueAdapters } from "./queue-adapter.ts";
import { SLACK } from "./queues-lua.ts";
import { askMasters, ReservationTally } from "./reservation-tally.ts";
import { Looks } from "./looks.ts";
import { CHECK_INTERVAL, type NextCheck } from "./next-check.ts";
import { Reservations } from "./reservations.ts";
import type { Serving } from "./serve-operation.ts";
import type { UnresponsiveQueues } from "./unresponsive-queues.ts";
import { LIVE_RESERVATION, RESERVATION } from "./reservations-lua.ts";
import { isRetry } from "./waiter.ts";
import { reservationMs, Wakeups, type WokenAt } from "./wakeups.ts";

/** The key is reserved for the first waiter. */
const FOR_FIRST = { position: "", record: "", wakes: true, life: RESERVATION };

/** What a {@link KeyWatcher} works with. */
export interface KeyWatcherParts {
  readonly context: LockContext;
  readonly timers: TimerHeap;
  readonly unresponsive: UnresponsiveQueues;
  readonly adapters: QueueAdapters;
  readonly wokenAt: WokenAt;
  /** The watcher has stopped. */
  ended(watcher: KeyWatcher): void;
}

/**
 * Keeps the wait list of one key, at one of its slots, moving as long as this process has an interest in it: a live waiter in the list, a reservation
 * that the process has made, or a key that it keeps for a while.
 */
export class KeyWatcher implements Task {
  /** The name of one of its slots. */
  readonly key: string;
  readonly #slot: number;
  due = Infinity;
  readonly #parts: KeyWatcherParts;
  readonly #wakeups: Wakeups;
  readonly #looks: Looks;
  readonly #reservations: Reservations;
  #interestedUntil = -Infinity;
  /** How many checks are under way: the watcher must not end before it has acted on their answers. */
  #checking = 0;
  /** What the masters answered to the last check. */
  #decision: ReservationDecision = { kind: "unknown" };
  #ended = false;

  constructor(key: string, parts: KeyWatcherParts) {
    this.key = key;
    this.#slot = numberOfSlot(key);
    this.#parts = parts;
    const { context, timers, adapters, unresponsive, wokenAt } = parts;
    const { clock } = context;
    const wakeups = new Wakeups(key, clock, adapters, wokenAt);
    this.#wakeups = wakeups;
    this.#looks = new Looks({
      clock,
      timers,
      wakeups,
      ended: (gone) => (gone === undefined ? this.#endIfIdle() : void this.check({ gone: [gone] })),
    });
    this.#reservations = new Reservations(key, context, wakeups, this.#looks, unresponsive);
    timers.add(this);
  }

  /** Calls `wake` when the key is reserved for a live waiter, until the returned function is called. */
  onReservation(position: string, wake: () => void): () => void {
    this.#wakeups.live.set(position, wake);
    this.#checkBy(this.#nextCheck());
    return () => this.#wakeups.live.delete(position);
  }

  /** Checks the key after `ms`: until then this process keeps it taken. */
  expectFree(ms: number): void {
    this.#interestedUntil = this.#now() + ms + CHECK_INTERVAL;
    this.#checkBy(this.#now() + ms + SLACK);
  }

  /** The key is about to be released, in this very tick. @returns whether a parked job was woken. */
  beforeRelease(): boolean {
    return this.#reservations.beforeRelease();
  }

  /** Receives what a master answered when the key was released. */
  handOver(tally: ReservationTally, node: number, reply: ReservationReply): Promise<void> {
    tally.replies[node] = reply;
    this.#actOn(tally);
    // A master that is down never completes the tally.
    this.#endIfIdle();
    return tally.waking;
  }

  /**
   * Asks the masters about the reservation, removes waiters that are gone, and wakes the first one.
   * @returns what the masters decided in the end.
   */
  async check({ gone = [] }: { gone?: Serving["gone"] } = {}): Promise<ReservationDecision> {
    const { context, unresponsive } = this.#parts;
    const tally = new ReservationTally(context, this.key, { passesOver: gone.length > 0 });
    this.due = Infinity;
    const live = this.#wakeups.live.size > 0;
    const question = { ...FOR_FIRST, gone, live, skipped: unresponsive.list() };
    this.#checking += 1;
    const examining: Promise<void>[] = [];
    await askMasters(context, this.key, tally, question, () => {
      this.#actOn(tally);
      const retries = tally.takeRetries();
      if (retries.length > 0) examining.push(this.#examine(retries));
    });
    this.#checking -= 1;
    const { decision } = tally;
    this.#decision = decision;
    if (decision.kind === "unknown" && this.#isInterested) {
      this.#checkBy(this.#now() + CHECK_INTERVAL);
    }
    if ("waiting" in decision && decision.waiting < this.#wakeups.live.size) {
      this.#wakeups.wakeLive();
    }
    if (decision.kind === "reserved") {
      await this.#doNext(await this.#reservations.confirm(decision));
    }
    await tally.waking;
    await Promise.all(examining);
    this.#endIfIdle();
    // A check without the waiters that are gone may have followed.
    return this.#decision;
  }

  /** Keeps the free key for `life` ms for a waiter of this process that still waits for other keys, as long as it exists. */
  holdBack(waiter: Omit<StoredWaiter, "priority">, life: number): void {
    this.expectFree(life);
    this.#checkBy(this.#now() + CHECK_INTERVAL);
    this.#reservations.holdBack(waiter, life);
  }

  /** Ends {@link holdBack}: the waiter is woken when the key is reserved for it. */
  stopHoldingBack(position: string): void {
    this.#reservations.stopHoldingBack(position);
  }

  /** The masters have reserved the key for a waiter that this process has parked, or that is live in it. */
  reserved(waiter: StoredWaiter): void {
    // The process that made the reservation may receive its own message.
    if (this.#ended || this.#wakeups.wasLast(waiter)) return;
    const isLiveHere = this.#wakeups.live.has(waiter.position);
    if (!isLiveHere && !this.#wakeups.canWake(waiter)) return this.#endIfIdle();
    // It has missed a reservation of this key, and another process has made one more: the check passes it on.
    if (this.#wakeups.hasExpired(waiter)) {
      this.expectFree(RESERVATION);
      return void this.check();
    }
    this.#parts.context.slotChoice.reserved(this.key, waiter);
    if (!isLiveHere) {
      this.#wakeups.note(waiter);
      this.#checkBy(this.#now() + RESERVATION + SLACK);
      this.#looks.plan(waiter);
    }
    void this.#wakeups.wake(waiter).then((state) => {
      if (state === "gone") void this.check({ gone: [waiter] });
    });
  }

  /** {@link Task} */
  run(): void {
    // Other processes may have taken the live waiters of this one for dead.
    if (this.#now() - this.due > LIVE_RESERVATION) this.#wakeups.wakeLive();
    void this.check();
  }

  /** Stops watching at once. Idempotent. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#looks.end();
    this.#parts.timers.remove(this);
    this.#parts.ended(this);
  }

  #actOn(tally: ReservationTally): void {
    if (this.#ended) return;
    const { decision } = tally;
    this.#planNextCheck(decision, tally.isComplete);
    if (decision.kind === "reserved") this.#wakeups.live.get(decision.position)?.();
    if (decision.kind !== "next") return;
    if (tally.chosen === undefined) {
      tally.waking = new Promise((resolve) => {
        void this.#wakeFirst(tally, decision, resolve).then(resolve);
      });
    }
    this.#reservations.align(tally, decision);
  }

  /** @param onSent runs when the request that wakes the waiter is sent. */
  async #wakeFirst(
    tally: ReservationTally,
    decision: ReservationDecision & { kind: "next" },
    onSent: () => void,
  ): Promise<void> {
    await this.#doNext(await this.#reservations.wakeFirst(tally, decision, onSent));
  }

  /** A master keeps the key for such a job against every other waiter, and may have missed that the job has ended since. */
  async #examine(retries: readonly StoredWaiter[]): Promise<void> {
    this.#checking += 1;
    const gone = await this.#reservations.goneOf(retries);
    this.#checking -= 1;
    if (gone.length > 0) await this.check({ gone });
    else this.#endIfIdle();
  }

  async #doNext(next: NextCheck): Promise<void> {
    if (next?.kind === "now") await this.check(next);
    if (next?.kind === "by") this.#checkBy(next.at);
  }

  #planNextCheck(decision: ReservationDecision, complete: boolean): void {
    const now = this.#now();
    if (decision.kind === "unknown") return;
    // The master that would decide may be down.
    if (decision.kind === "contested") return this.#checkBy(now + SLACK);
    // The process that made the reservation makes sure that it is used.
    if (complete && !this.#isInterested && !this.#isOurs(decision)) return this.#endIfIdle();
    switch (decision.kind) {
      case "held":
        if (decision.waiting > 0) this.#checkBy(now + Math.max(decision.expiresIn, 0) + SLACK);
        break;
      case "reserved":
        // A key that is kept for a retry is due as long as others wait for it.
        if (!isRetry(decision)) this.#checkBy(now + Math.max(decision.expiresIn, 0) + SLACK);
        break;
      case "next":
        this.#checkBy(now + reservationMs(decision.head) + SLACK);
        break;
      case "free":
        // All waiters are skipped: the key is due when their queues are tried again.
        break;
      default:
        decision satisfies never;
    }
    // One slot is enough to keep the live waiters in the wait list; the others are due when they can be free.
    if (this.#wakeups.live.size > 0) {
      if (this.#slot === 0 || decision.kind !== "held") this.#checkBy(this.#nextCheck());
    } else if (decision.waiting === 0 && complete) this.#endIfIdle();
  }

  get #isInterested(): boolean {
    return this.#wakeups.live.size > 0 || this.#now() < this.#interestedUntil;
  }

  /** Whether this process makes the reservation, or has made it. */
  #isOurs(decision: ReservationDecision): boolean {
    return (
      decision.kind === "next" || (decision.kind === "reserved" && this.#wakeups.wasLast(decision))
    );
  }

  /** Checks at that time, if not before. */
  #checkBy(at: number): void {
    if (at >= this.due) return;
    this.due = at;
    if (!this.#ended) this.#parts.timers.update(this);
  }

  #endIfIdle(): void {
    if (this.#checking > 0 || this.#looks.isPending || this.#wakeups.live.size > 0) return;
    // Without a time for a check, the interest in a key does nothing.
    if (this.due === Infinity) this.end();
  }

  /** On a grid, so that the checks of all keys travel together. */
  #nextCheck(): number {
    return (Math.floor(this.#now() / CHECK_INTERVAL) + 1) * CHECK_INTERVAL;
  }

  #now(): number {
    return this.#parts.context.clock.now();
  }
}
