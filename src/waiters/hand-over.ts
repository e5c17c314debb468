import type { LockContext } from "../lock/lock-context.ts";
import type { ReservationReply } from "../lock/wait-list-hooks.ts";
import type { KeyWatcher } from "./key-watcher.ts";
import { ReservationTally } from "./reservation-tally.ts";

/** What is given back. */
interface Given {
  readonly keys: readonly string[];
  readonly token: number;
  /** Milliseconds for which the keys stay taken. */
  readonly holdFor: number;
}

/** From one holder to the next: what masters say when keys are given back, and the calls of the next in line. */
export class HandOver {
  readonly #context: LockContext;
  readonly #given: Given;
  readonly #attendantOf: (key: string) => KeyWatcher;
  readonly #askedAt: number;
  /** What masters have said so far, while no key seems to have a waiter. */
  #early: (readonly ReservationReply[] | undefined)[] | undefined;
  /** For each key that has waiters. */
  #rounds: (ReservationTally | undefined)[] | undefined;
  #calls: Promise<void>[] | undefined;

  constructor(context: LockContext, given: Given, attendantOf: (key: string) => KeyWatcher) {
    this.#context = context;
    this.#given = given;
    this.#attendantOf = attendantOf;
    this.#askedAt = context.clock.now();
  }

  /** A master has given the keys back. */
  onReservations(node: number, reservations: readonly ReservationReply[]): void {
    for (const [index, reply] of reservations.entries()) {
      const known = this.#rounds?.[index];
      // A key without waiters is the usual case: nothing is made of it until a master knows of one.
      if (known === undefined && reply.status === "free" && reply.waiting === 0) continue;
      const tally = known ?? this.#begin(index);
      (this.#calls ??= []).push(this.#hear(index, tally, node, reply));
    }
    (this.#early ??= [])[node] = reservations;
  }

  /** Resolves when the calls of the next in line are on their way; `undefined` when no key has waiters. */
  get called(): Promise<unknown> | undefined {
    return this.#calls && Promise.all(this.#calls);
  }

  #begin(index: number): ReservationTally {
    const { keys, token, holdFor } = this.#given;
    if (holdFor > 0) this.#attendantOf(keys[index] ?? "").expectEnd(holdFor);
    const tally = new ReservationTally(this.#context, { token, askedAt: this.#askedAt });
    (this.#rounds ??= [])[index] = tally;
    for (const [node, reservations] of this.#early?.entries() ?? []) {
      const before = reservations?.[index];
      if (before !== undefined) void this.#hear(index, tally, node, before);
    }
    return tally;
  }

  #hear(
    index: number,
    tally: ReservationTally,
    node: number,
    reply: ReservationReply,
  ): Promise<void> {
    return this.#attendantOf(this.#given.keys[index] ?? "").handOver(tally, node, reply);
  }
}
