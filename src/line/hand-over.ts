import type { LockContext } from "../lock/context.ts";
import type { TurnReply } from "../lock/lining.ts";
import type { Attendant } from "./attendant.ts";
import { Round } from "./round.ts";

/** What is given back. */
interface Given {
  readonly keys: readonly string[];
  readonly token: number;
  /** Milliseconds for which the keys stay taken. */
  readonly linger: number;
}

/** From one holder to the next: what masters say when keys are given back, and the calls of the next in line. */
export class HandOver {
  readonly #context: LockContext;
  readonly #given: Given;
  readonly #attendantOf: (key: string) => Attendant;
  readonly #askedAt: number;
  /** What masters have said so far, while no key seems to have a waiter. */
  #early: (readonly TurnReply[] | undefined)[] | undefined;
  /** For each key that has waiters. */
  #rounds: (Round | undefined)[] | undefined;
  #calls: Promise<void>[] | undefined;

  constructor(context: LockContext, given: Given, attendantOf: (key: string) => Attendant) {
    this.#context = context;
    this.#given = given;
    this.#attendantOf = attendantOf;
    this.#askedAt = context.clock.now();
  }

  /** A master has given the keys back. */
  heard(node: number, turns: readonly TurnReply[]): void {
    for (const [index, reply] of turns.entries()) {
      const known = this.#rounds?.[index];
      // A key without waiters is the usual case: nothing is made of it until a master knows of one.
      if (known === undefined && reply.status === "nobody" && reply.waiting === 0) continue;
      const round = known ?? this.#begin(index);
      (this.#calls ??= []).push(this.#hear(index, round, node, reply));
    }
    (this.#early ??= [])[node] = turns;
  }

  /** Resolves when the calls of the next in line are on their way; `undefined` when no key has waiters. */
  get called(): Promise<unknown> | undefined {
    return this.#calls && Promise.all(this.#calls);
  }

  #begin(index: number): Round {
    const { keys, token, linger } = this.#given;
    if (linger > 0) this.#attendantOf(keys[index] ?? "").expectEnd(linger);
    const round = new Round(this.#context, { token, askedAt: this.#askedAt });
    (this.#rounds ??= [])[index] = round;
    for (const [node, turns] of this.#early?.entries() ?? []) {
      const before = turns?.[index];
      if (before !== undefined) void this.#hear(index, round, node, before);
    }
    return round;
  }

  #hear(index: number, round: Round, node: number, reply: TurnReply): Promise<void> {
    return this.#attendantOf(this.#given.keys[index] ?? "").handOver(round, node, reply);
  }
}
