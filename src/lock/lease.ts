import type { LockContext } from "./lock-context.ts";
import type { LockIdentity } from "./lock-identity.ts";
import { extendOperation } from "./extend-operation.ts";
import { releaseOperation, type ReleaseReply, type Releasing } from "./release-operation.ts";
import {
  type ExtendOutcome,
  ExtendTally,
  type ReleaseOutcome,
  ReleaseTally,
  type ReservationListener,
} from "./tally.ts";
import { abortMargin, leaseEnd, validUntil } from "./validity.ts";

/** Of a claim that never won: nobody gets a turn by it. */
const ROLLBACK = { held: false, holdFor: 0, skipped: [], done: "" };

/**
 * A claim that masters have confirmed: which of them, and until when. It starts as a candidate, with no lease;
 * with the votes of a quorum it is a lock.
 */
export class Lease {
  readonly identity: LockIdentity & { readonly ttl: number };
  readonly #context: LockContext;
  /** Called when {@link validUntil} may have become earlier: a master has said that the key is not ours. */
  onShortened: () => void = unheard;
  readonly #leaseEnds: number[];
  #validUntil = -Infinity;
  /** Sent before this, a confirmation is void: the master has since said that the key is not ours. */
  #voidBefore: number[] | undefined;

  constructor(context: LockContext, identity: LockIdentity & { readonly ttl: number }) {
    this.#context = context;
    this.identity = identity;
    this.#leaseEnds = context.masters.ports.map(() => -Infinity);
  }

  /** The ttl that was asked for. */
  get grantedTtl(): number {
    return this.identity.ttl;
  }

  /** Until when a quorum keeps the keys for us. */
  get validUntil(): number {
    return this.#validUntil;
  }

  /** Until when the lock may be used: the abort margin before {@link validUntil}. */
  get usableUntil(): number {
    return this.validUntil - abortMargin(this.grantedTtl);
  }

  /** Takes note that a master has confirmed a command sent at `sentAt`. */
  confirm(node: number, sentAt: number, ttl: number): void {
    if (sentAt <= (this.#voidBefore?.[node] ?? -Infinity)) return;
    const end = leaseEnd(sentAt, ttl, this.#context.driftFactor);
    if (end > (this.#leaseEnds[node] ?? -Infinity)) this.#setLease(node, end);
  }

  /**
   * Extends on all masters. `settle` runs when a quorum has confirmed, or can no longer.
   *
   * A confirmation counts only while the deadline in force has not passed: the lock is prolonged without a gap or
   * not at all.
   */
  extend(ttl: number, settle: (outcome: ExtendOutcome) => void): void {
    const { identity } = this;
    const tally = new ExtendTally(this.#context, this, ttl, settle);
    const claimed = ttl === identity.ttl ? identity : { ...identity, ttl };
    this.#context.masters.broadcast(extendOperation, claimed, tally);
  }

  /**
   * Gives the keys back on all masters, also on those that never answered. Settles when a quorum has confirmed, or
   * can no longer.
   */
  release(
    listener: ReservationListener,
    { holdFor, skipped, done }: Pick<Releasing, "holdFor" | "skipped" | "done">,
  ): Promise<ReleaseOutcome> {
    return new Promise((resolve) => {
      const { masters } = this.#context;
      const tally = new ReleaseTally(masters, this.identity.keys.length, listener, resolve);
      // Not spread: that costs more than the rest of a release.
      const { names, keys, owner, token, holder, guarded, requester } = this.identity;
      masters.broadcast(
        releaseOperation,
        {
          names,
          keys,
          owner,
          token,
          holder,
          guarded,
          requester,
          held: true,
          holdFor,
          skipped,
          done,
        },
        tally,
      );
    });
  }

  /** Takes back on one master what a claim that never won may have there. */
  rollBack(node: number, listener: ReservationListener): void {
    const tell = (_: number, { reservations }: ReleaseReply): void =>
      listener.heard(node, reservations);
    this.#context.masters.ask(
      node,
      releaseOperation,
      { ...this.identity, ...ROLLBACK },
      { answer: tell, failure: () => {}, late: tell },
    );
  }

  /** Takes note that a master, asked at `sentAt`, has said that the keys are not ours. */
  revoke(node: number, sentAt: number): void {
    const voidBefore = (this.#voidBefore ??= []);
    voidBefore[node] = Math.max(voidBefore[node] ?? 0, sentAt);
    this.#setLease(node, -Infinity);
    this.onShortened();
  }

  #setLease(node: number, end: number): void {
    this.#leaseEnds[node] = end;
    this.#validUntil = validUntil(this.#leaseEnds, this.#context.masters.quorum);
  }
}

/** For a lock without an owner yet. */
function unheard(): void {}
