import type { LockContext } from "../lock/lock-context.ts";
import type { ServedBy } from "../redis/operation.ts";
import { FREE, type ReservationReply } from "../lock/wait-list-hooks.ts";
import type { KeyWatchers } from "./key-watchers.ts";
import { ReservationTally } from "./reservation-tally.ts";

/** What is released. */
interface Released {
  readonly keys: readonly string[];
  readonly token: number;
  /** Milliseconds for which the keys stay taken. */
  readonly holdFor: number;
}

/** From one holder to the next: the answers of masters to a release, and the waking of the next waiters. */
export class HandOver {
  readonly #context: LockContext;
  readonly #released: Released;
  readonly #watchers: KeyWatchers;
  readonly #askedAt: number;
  /** Masters that have freed the only key, and know of no waiter. */
  #freedBy: ServedBy | undefined;
  /** The other answers so far, while no key seems to have a waiter. */
  #early: (readonly ReservationReply[] | undefined)[] | undefined;
  /** For each key that has waiters. */
  #tallies: (ReservationTally | undefined)[] | undefined;
  #wakings: Promise<void>[] | undefined;
  /** Whether a waiter was woken together with the release. */
  isEarly = false;

  constructor(context: LockContext, released: Released, watchers: KeyWatchers) {
    this.#context = context;
    this.#released = released;
    this.#watchers = watchers;
    this.#askedAt = context.clock.now();
  }

  onFreed(by: ServedBy): void {
    this.#freedBy = by;
  }

  /** A master has released the keys. */
  onReservations(node: number, reservations: readonly ReservationReply[]): void {
    for (const [index, reply] of reservations.entries()) {
      const known = this.#tallies?.[index];
      // A key without waiters is the usual case: there is nothing to do until a master names one.
      if (known === undefined && reply.status === "free" && reply.waiting === 0) continue;
      const tally = known ?? this.#begin(index);
      (this.#wakings ??= []).push(this.#note(index, tally, node, reply));
    }
    (this.#early ??= [])[node] = reservations;
  }

  /** Resolves when the next waiters have been sent their wake-up; `undefined` when no key has waiters. */
  get woken(): Promise<unknown> | undefined {
    return this.#wakings && Promise.all(this.#wakings);
  }

  #begin(index: number): ReservationTally {
    const { keys, token, holdFor } = this.#released;
    if (holdFor > 0) this.#watchers.of(keys[index] ?? "").expectFree(holdFor);
    const tally = new ReservationTally(this.#context, keys[index] ?? "", {
      token,
      askedAt: this.#askedAt,
    });
    (this.#tallies ??= [])[index] = tally;
    for (const node of this.#context.masters.names.keys()) {
      const isFreed = this.#freedBy?.sentAt(node) !== undefined;
      const before = this.#early?.[node]?.[index] ?? (isFreed ? FREE : undefined);
      if (before !== undefined) void this.#note(index, tally, node, before);
    }
    return tally;
  }

  #note(
    index: number,
    tally: ReservationTally,
    node: number,
    reply: ReservationReply,
  ): Promise<void> {
    return this.#watchers.of(this.#released.keys[index] ?? "").handOver(tally, node, reply);
  }
}
