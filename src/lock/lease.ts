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
  readonly #leaseEnds: number[];
  #listener: LeaseListener | undefined;
  #validUntil = -Infinity;
  /** For each master: a confirmation that was sent before this time is void, because the master has denied the lock since. */
  #voidBefore: number[] | undefined;

  constructor(context: LockContext, identity: TimedIdentity) {
    this.#context = context;
    this.identity = identity;
    this.#leaseEnds = context.masters.names.map(never);
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

  /** A master has confirmed a request that was sent at `sentAt`. */
  confirm(node: number, sentAt: number, ttl: number): void {
    if (sentAt <= (this.#voidBefore?.[node] ?? -Infinity)) return;
    const end = leaseEnd(sentAt, ttl, this.#context.driftFactor);
    if (end > (this.#leaseEnds[node] ?? -Infinity)) this.#setEnd(node, end);
  }

  /** A master has denied the lock in answer to a request that was sent at `sentAt`. */
  revoke(node: number, sentAt: number): void {
    const voidBefore = (this.#voidBefore ??= []);
    voidBefore[node] = Math.max(voidBefore[node] ?? 0, sentAt);
    this.#setEnd(node, -Infinity);
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

  /** Removes from one master what an attempt that never won may have there. */
  rollBack(node: number, listener: ReservationListener): void {
    const report = (_: number, { reservations }: ReleaseReply): void =>
      listener.onReservations(node, reservations);
    this.#context.masters.ask(
      node,
      releaseOperation,
      { ...this.identity, ...ROLLBACK },
      { answer: report, failure: () => {}, late: report },
    );
  }

  #setEnd(node: number, end: number): void {
    this.#leaseEnds[node] = end;
    this.#validUntil = validUntil(this.#leaseEnds, this.#context.masters.quorum);
  }
}
