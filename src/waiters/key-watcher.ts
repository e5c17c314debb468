import type { TimerHeap, Task } from "../timer-heap.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { SLACK } from "./queues-lua.ts";
import { RESERVATION } from "./wait-list-lua.ts";
import type { Serving } from "./serve-operation.ts";
import type { ReservationReply, StoredWaiter } from "../lock/wait-list-hooks.ts";
import { Wakeups, reservationOf } from "./wakeups.ts";
import type { ReservationDecision } from "./decide-reservation.ts";
import type { QueueAdapter } from "./queue-adapter.ts";
import { askMasters, type Question, ReservationTally } from "./reservation-tally.ts";
import type { UnresponsiveQueues } from "./unresponsive-queues.ts";
import { LOOK_INTERVAL, Reservations } from "./reservations.ts";

/** The turn is given to whoever is first. */
const NOBODY = { give: "", record: "", wakes: true };

/** What an {@link KeyWatcher} works with. */
export interface KeyWatcherParts {
  readonly context: LockContext;
  readonly timers: TimerHeap;
  readonly unresponsive: UnresponsiveQueues;
  /** The home of that name, if this process can call its waiters. */
  adapterOf(queueId: string): QueueAdapter | undefined;
  /** Nobody here has an interest in the key any more. */
  ended(watcher: KeyWatcher): void;
}

/**
 * Sees to it that the line of one key moves on, as long as this process has an interest in it: because somebody waits in it,
 * because it has given a turn, or keeps the key for a while.
 */
export class KeyWatcher implements Task {
  readonly key: string;
  due = Infinity;
  readonly #parts: KeyWatcherParts;
  readonly #wakeups: Wakeups;
  readonly #reservations: Reservations;
  #expectsUntil = -Infinity;
  /** How many questions are under way: what they bring to light must be acted upon. */
  #asking = 0;
  #ended = false;

  constructor(key: string, parts: KeyWatcherParts) {
    this.key = key;
    this.#parts = parts;
    const { clock } = parts.context;
    this.#wakeups = new Wakeups(clock, (queueId) => parts.adapterOf(queueId));
    this.#reservations = new Reservations({
      waitLists: this,
      clock,
      wakeups: this.#wakeups,
      unresponsive: parts.unresponsive,
    });
    parts.timers.add(this);
  }

  /** Somebody waits in this process until the returned function is called; `wake` is called when it is its turn. */
  await(position: string, wake: () => void): () => void {
    this.#wakeups.live.set(position, wake);
    this.lookBy(this.#nextLook());
    return () => this.#wakeups.live.delete(position);
  }

  /** This process has parked the job of that place: it is called when it has its turn. */
  parked(position: string): void {
    this.#reservations.unreserve(position);
  }

  /** What this process keeps taken ends after `ms`: it looks then. */
  expectEnd(ms: number): void {
    this.#expectsUntil = this.#now() + ms + LOOK_INTERVAL;
    this.lookBy(this.#now() + ms + SLACK);
  }

  /** The key is about to be given back, in this very tick. */
  foresee(): void {
    this.#reservations.foresee();
  }

  /** Takes note of what a master said when the key was given back. */
  handOver(tally: ReservationTally, node: number, reply: ReservationReply): Promise<void> {
    tally.replies[node] = reply;
    this.#consider(tally);
    // A master that is down never completes the round.
    this.#endIfIdle();
    return tally.calling;
  }

  /** Asks the masters whose turn it is, takes out those who are gone, and calls who must be called. */
  async look({ gone = [] }: { gone?: Serving["gone"] } = {}): Promise<void> {
    const tally = new ReservationTally(this.#parts.context);
    this.due = Infinity;
    await this.#ask(tally, { gone, ...NOBODY, life: RESERVATION });
    const { decision } = tally;
    if (decision.kind === "unknown" && this.#isInterested) {
      this.lookBy(this.#now() + LOOK_INTERVAL);
    }
    if (decision.kind === "reserved") await this.#reservations.confirm(decision);
    await tally.calling;
    this.#endIfIdle();
  }

  /** Keeps the free key for `life` ms for one of ours that waits for other keys yet, as long as it is there. */
  reserve(waiter: Omit<StoredWaiter, "priority">, life: number): void {
    this.#reservations.reserve(waiter.position, life);
    this.expectEnd(life);
    this.lookBy(this.#now() + LOOK_INTERVAL);
    void this.keepFor(waiter, life, false);
  }

  /** Keeps the free key for `position`, for `life` ms; with `calls`, whoever can call it does so. */
  async keepFor(
    { position, record }: Omit<StoredWaiter, "priority">,
    life: number,
    wakes: boolean,
  ): Promise<void> {
    const tally = new ReservationTally(this.#parts.context);
    await this.#ask(tally, { gone: [], give: position, record, wakes, life });
  }

  /** Looks at that time, if not before. */
  lookBy(at: number): void {
    if (this.#ended || at >= this.due) return;
    this.due = at;
    this.#parts.timers.update(this);
  }

  /** {@link Task} */
  run(): void {
    void this.look();
  }

  /** Ends all attention at once. Idempotent. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#parts.timers.remove(this);
    this.#parts.ended(this);
  }

  async #ask(tally: ReservationTally, question: Question): Promise<void> {
    const { context, unresponsive } = this.#parts;
    const live = this.#wakeups.live.size > 0;
    const serving = { ...question, live, skipped: unresponsive.list() };
    this.#asking += 1;
    await askMasters(context, this.key, tally, serving, (complete) => {
      // Whoever was given a turn needs no call: it is the caller's own, or is on its way.
      if (question.give === "") this.#consider(tally, complete);
    });
    this.#asking -= 1;
  }

  /** @param complete whether no further master will answer. */
  #consider(tally: ReservationTally, complete = tally.isComplete): void {
    if (this.#ended) return;
    const { decision } = tally;
    this.#planNextLook(decision, complete);
    if (decision.kind === "reserved") this.#wakeups.live.get(decision.position)?.();
    if (decision.kind === "next") this.#reservations.give(tally, decision);
  }

  #planNextLook(decision: ReservationDecision, complete: boolean): void {
    const now = this.#now();
    if (decision.kind === "unknown") return;
    // Who only gave a turn sees to it that it is used.
    if (complete && !this.#isInterested && !this.#isOurs(decision)) return this.#endIfIdle();
    switch (decision.kind) {
      case "held":
        if (decision.waiting > 0) this.lookBy(now + Math.max(decision.expiresIn, 0) + SLACK);
        break;
      case "reserved":
        this.lookBy(now + Math.max(decision.expiresIn, 0) + SLACK);
        break;
      case "next":
        this.lookBy(now + reservationOf(decision.head) + SLACK);
        break;
      case "free":
        // All were passed over: the key is due when their homes are tried again.
        break;
      default:
        decision satisfies never;
    }
    if (this.#wakeups.live.size > 0) this.lookBy(this.#nextLook());
    else if (decision.waiting === 0 && complete) this.#endIfIdle();
  }

  get #isInterested(): boolean {
    return this.#wakeups.live.size > 0 || this.#now() < this.#expectsUntil;
  }

  /** Whether this process gives the turn, or has given it. */
  #isOurs(decision: ReservationDecision): boolean {
    return (
      decision.kind === "next" || (decision.kind === "reserved" && this.#wakeups.has(decision))
    );
  }

  /** The masters say that it is the turn of a waiter that this process has parked, or that waits in it. */
  told(waiter: StoredWaiter): void {
    // Its own word comes back to whoever gave the turn.
    if (this.#ended || this.#wakeups.has(waiter)) return;
    const isLiving = this.#wakeups.live.has(waiter.position);
    if (!isLiving && !this.#wakeups.canCall(waiter)) return this.#endIfIdle();
    if (!isLiving) {
      this.#wakeups.note(waiter);
      this.lookBy(this.#now() + RESERVATION + SLACK);
    }
    void this.#wakeups.call(waiter).then((fate) => {
      if (fate === "gone") void this.look({ gone: [waiter] });
    });
  }

  #endIfIdle(): void {
    if (this.#asking === 0 && !this.#isInterested && this.due === Infinity) this.end();
  }

  /** On a grid, so that the looks of all keys travel together. */
  #nextLook(): number {
    return (Math.floor(this.#now() / LOOK_INTERVAL) + 1) * LOOK_INTERVAL;
  }

  #now(): number {
    return this.#parts.context.clock.now();
  }
}
