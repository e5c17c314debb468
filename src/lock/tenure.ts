import type { LockContext } from "./context.ts";
import type { Claim } from "./claim.ts";
import { extendOperation } from "./extending.ts";
import { releaseOperation, type ReleaseReply, type Releasing } from "./releasing.ts";
import {
  type ExtendOutcome,
  ExtendTally,
  type ReleaseOutcome,
  ReleaseTally,
  type TurnListener,
} from "./tally.ts";
import { abortMargin, leaseEnd, validUntil } from "./validity.ts";

/** Of a claim that never won: nobody gets a turn by it. */
const ROLLBACK = { held: false, linger: 0, skipped: [], done: "" };

/**
 * A claim that masters have confirmed: which of them, and until when. It starts as a candidate, with no lease;
 * with the votes of a quorum it is a lock.
 */
export class Tenure {
  readonly claim: Claim & { readonly ttl: number };
  readonly #context: LockContext;
  /** Called when {@link validUntil} may have become earlier: a master has said that the key is not ours. */
  onShortened: () => void = unheard;
  readonly #leaseEnds: number[];
  #validUntil = -Infinity;
  /** Sent before this, a confirmation is void: the master has since said that the key is not ours. */
  #voidBefore: number[] | undefined;

  constructor(context: LockContext, claim: Claim & { readonly ttl: number }) {
    this.#context = context;
    this.claim = claim;
    this.#leaseEnds = context.masters.ports.map(() => -Infinity);
  }

  /** The ttl that was asked for. */
  get grantedTtl(): number {
    return this.claim.ttl;
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
    const { claim } = this;
    const tally = new ExtendTally(this.#context, this, ttl, settle);
    const claimed = ttl === claim.ttl ? claim : { ...claim, ttl };
    this.#context.masters.broadcast(extendOperation, claimed, tally);
  }

  /**
   * Gives the keys back on all masters, also on those that never answered. Settles when a quorum has confirmed, or
   * can no longer.
   */
  release(
    listener: TurnListener,
    { linger, skipped, done }: Pick<Releasing, "linger" | "skipped" | "done">,
  ): Promise<ReleaseOutcome> {
    return new Promise((resolve) => {
      const { masters } = this.#context;
      const tally = new ReleaseTally(masters, this.claim.keys.length, listener, resolve);
      // Not spread: that costs more than the rest of a release.
      const { names, keys, owner, token, holder, guarded, caller } = this.claim;
      masters.broadcast(
        releaseOperation,
        { names, keys, owner, token, holder, guarded, caller, held: true, linger, skipped, done },
        tally,
      );
    });
  }

  /** Takes back on one master what a claim that never won may have there. */
  rollBack(node: number, listener: TurnListener): void {
    const tell = (_: number, { turns }: ReleaseReply): void => listener.heard(node, turns);
    this.#context.masters.ask(
      node,
      releaseOperation,
      { ...this.claim, ...ROLLBACK },
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
