import type { ServedBy } from "../redis/operation.ts";
import { extendOperation } from "./extend-operation.ts";
import type { LockContext } from "./lock-context.ts";
import type { LockIdentity, TimedIdentity } from "./lock-identity.ts";
import { releaseOperation, type ReleaseReply, type Releasing } from "./release-operation.ts";
import {
  type ExtendOutcome,
  ExtendTally,
  type ReleaseOutcome,
  ReleaseTally,
  type ReservationListener,
} from "./tally.ts";
import { abortMargin, leaseEnd, validUntil } from "./validity.ts";
import type { ReservationReply } from "./wait-list-hooks.ts";

/** Receives what a master reports of the keys that a rollback has freed, in order. */
export type RollbackListener = (reservations: readonly ReservationReply[]) => void;

function never(): number {
  return -Infinity;
}

/** An attempt that never won reserves its keys for no waiter. */
const ROLLBACK = { held: false, holdFor: 0, skipped: [], done: "" };

/** Receives changes of a {@link Lease}. */
export interface LeaseListener {
  /** {@link Lease.validUntil} may have become earlier. */
  onShortened(): void;
}

/**
 * What masters have confirmed to one owner: which of them keep the keys, and until when. It begins as a candidate that no
 * master has confirmed; with a quorum it is a lock.
 *
 * Invariant: {@link validUntil} is the quorum-th largest end over the masters, and each end is counted from *before* the
 * confirmed request was sent. There is no other source of validity, and a master that denies the lock takes its end away at
 * once: a lock may end early for its holder, never late.
 * @see https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/ ("The Redlock Algorithm", step 4)
 */
export class Lease {
  readonly identity: TimedIdentity;
  readonly #context: LockContext;
  /** What single masters have confirmed; made when it is needed. */
  #leaseEnds: number[] | undefined;
  /** What a quorum has confirmed at once, and the ttl that it confirmed. */
  #servedBy: ServedBy | undefined;
  #servedTtl = 0;
  #listener: LeaseListener | undefined;
  #validUntil = -Infinity;
  /** For each master: a confirmation that was sent before this time is void, because the master has denied the lock since. */
  #voidBefore: number[] | undefined;

  constructor(context: LockContext, identity: TimedIdentity) {
    this.#context = context;
    this.identity = identity;
  }

  /** The ttl that was asked for, in milliseconds. */
  get ttl(): number {
    return this.identity.ttl;
  }

  /** Until when a quorum keeps the keys, in milliseconds of the clock. */
  get validUntil(): number {
    return this.#validUntil;
  }

  /** Until when the lock may be used: the abort margin before {@link validUntil}. */
  get usableUntil(): number {
    return this.validUntil - abortMargin(this.ttl);
  }

  /** Reports changes to the listener from now on. */
  watch(listener: LeaseListener): void {
    this.#listener = listener;
  }

  /** A quorum of masters has confirmed a request. */
  served(by: ServedBy, ttl: number): void {
    const isFirst = this.#servedBy === undefined && this.#leaseEnds === undefined;
    // The usual case: the end of each master matters when one of them denies the lock.
    const known = isFirst ? undefined : this.#endsOfAll();
    this.#servedBy = by;
    this.#servedTtl = ttl;
    if (known !== undefined) this.#update();
    else this.#validUntil = leaseEnd(by.since, ttl, this.#context.driftFactor);
  }

  /** A master has confirmed a request that was sent at `sentAt`. */
  confirm(node: number, sentAt: number, ttl: number): void {
    this.#confirm(this.#endsOfAll(), node, sentAt, ttl);
    this.#update();
  }

  /** A master has denied the lock in answer to a request that was sent at `sentAt`. */
  revoke(node: number, sentAt: number): void {
    const voidBefore = (this.#voidBefore ??= []);
    voidBefore[node] = Math.max(voidBefore[node] ?? 0, sentAt);
    this.#endsOfAll()[node] = -Infinity;
    this.#servedBy = undefined;
    this.#update();
    this.#listener?.onShortened();
  }

  /**
   * Extends on all masters. `settle` runs when a quorum has confirmed, or cannot confirm any more.
   *
   * A confirmation counts only before the current deadline: the lock is extended without a gap or not at all.
   */
  extend(ttl: number, settle: (outcome: ExtendOutcome) => void): void {
    const { identity } = this;
    const tally = new ExtendTally(this.#context, this, ttl, settle);
    const extended = ttl === identity.ttl ? identity : { ...identity, ttl };
    this.#context.masters.broadcast(extendOperation, extended, tally);
  }

  /**
   * Releases the keys on all masters, also on silent ones. `settle` runs when a quorum has confirmed, or cannot
   * confirm any more.
   */
  release(
    listener: ReservationListener,
    { holdFor, skipped, done, keepsRetry }: Omit<Releasing, "held" | keyof LockIdentity>,
    settle: (outcome: ReleaseOutcome) => void,
  ): void {
    const { masters } = this.#context;
    const tally = new ReleaseTally(masters, this.identity.keys.length, listener, settle);
    // A spread would cost more than the rest of a release.
    const { names, keys, slots, limits, owner, token, holder, guarded, requester } = this.identity;
    masters.broadcast(
      releaseOperation,
      {
        names,
        keys,
        slots,
        limits,
        owner,
        token,
        holder,
        guarded,
        requester,
        held: true,
        holdFor,
        skipped,
        done,
        keepsRetry,
      },
      tally,
    );
  }

  /** Removes from one master what an attempt that never won may have there. @param freed receives what it reports for each key, in order. */
  rollBack(node: number, freed: RollbackListener): void {
    const report = (_: number, { reservations }: ReleaseReply): void => freed(reservations);
    this.#context.masters.ask(
      node,
      releaseOperation,
      { ...this.identity, ...ROLLBACK },
      { answer: report, failure: () => {}, late: report },
    );
  }

  /** The end for each master. */
  #endsOfAll(): number[] {
    const { names } = this.#context.masters;
    const ends = (this.#leaseEnds ??= names.map(never));
    const by = this.#servedBy;
    if (by === undefined) return ends;
    for (let node = 0; node < names.length; node++) {
      const sentAt = by.sentAt(node);
      if (sentAt !== undefined) this.#confirm(ends, node, sentAt, this.#servedTtl);
    }
    return ends;
  }

  #confirm(ends: number[], node: number, sentAt: number, ttl: number): void {
    if (sentAt <= (this.#voidBefore?.[node] ?? -Infinity)) return;
    const end = leaseEnd(sentAt, ttl, this.#context.driftFactor);
    ends[node] = Math.max(ends[node] ?? -Infinity, end);
  }

  #update(): void {
    this.#validUntil = validUntil(this.#endsOfAll(), this.#context.masters.quorum);
  }
}
