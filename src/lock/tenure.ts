import type { NodeVote } from "../errors.ts";
import type { NodeError } from "../redis/node-error.ts";
import type { Responses } from "../redis/operation.ts";
import type { LockContext } from "./context.ts";
import type { Masters } from "./masters.ts";
import type { Claim } from "./claim.ts";
import { extendOperation, type ExtendReply } from "./extending.ts";
import { releaseOperation, type ReleaseReply, type Releasing } from "./releasing.ts";
import type { TurnReply } from "./lining.ts";
import { Poll } from "./poll.ts";
import { abortMargin, leaseEnd, validUntil } from "./validity.ts";

/** How an attempt to extend ended. `lost` is for good. */
export type ExtendOutcome =
  | { readonly kind: "extended" }
  | { readonly kind: "lost"; readonly votes: readonly NodeVote[] }
  | { readonly kind: "unconfirmed"; readonly votes: readonly NodeVote[] };

/** How a release ended. */
export interface ReleaseOutcome {
  /** True when a quorum deleted our keys. */
  readonly confirmed: boolean;
  readonly votes: readonly NodeVote[];
}

/** Of a claim that never won: nobody gets a turn by it. */
const ROLLBACK = { held: false, linger: 0, skipped: [], done: "" };

/** Hears whose turn it is. */
export interface TurnListener {
  /** What a master says, for each key in order; also after the release has settled. */
  heard(node: number, turns: readonly TurnReply[]): void;
}

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
      const tally = new ReleaseTally(masters, this.claim, listener, resolve);
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

const EXTENDED: ExtendOutcome = { kind: "extended" };

/** What masters say to one extend. */
class ExtendTally implements Responses<ExtendReply> {
  readonly #context: LockContext;
  readonly #tenure: Tenure;
  readonly #ttl: number;
  readonly #poll: Poll;
  #settle: ((outcome: ExtendOutcome) => void) | undefined;

  constructor(
    context: LockContext,
    tenure: Tenure,
    ttl: number,
    settle: (outcome: ExtendOutcome) => void,
  ) {
    this.#context = context;
    this.#tenure = tenure;
    this.#ttl = ttl;
    this.#poll = new Poll(context.masters.names);
    this.#settle = settle;
  }

  answer(node: number, reply: ExtendReply, sentAt: number): void {
    const { clock, guards } = this.#context;
    const { status } = reply;
    guards.heard(node, reply);
    if (status === "gone" || status === "taken") {
      this.#tenure.revoke(node, sentAt);
      this.#note(node, status === "gone" ? "gone" : "held");
    } else if (status === "quarantined") {
      this.#note(node, "quarantined", "the key was set after the master had lost its memory");
    } else if (status === "unarmed") {
      this.#note(node, "unarmed", "the master has lost its memory");
    } else if (status === "too long") {
      this.#note(node, "unarmed", `the master did not know of a ttl of ${this.#ttl} ms`);
    } else if (clock.now() >= this.#tenure.validUntil) {
      this.#note(node, "timed-out", "the answer came after the lock had ended");
    } else {
      this.#tenure.confirm(node, sentAt, this.#ttl);
      this.#note(node, "granted");
    }
  }

  failure(node: number, { failure, message }: NodeError): void {
    this.#note(node, failure, message);
  }

  late(node: number, reply: ExtendReply, sentAt: number): void {
    this.answer(node, reply, sentAt);
  }

  #note(node: number, word: NodeVote["vote"], cause?: string): void {
    const poll = this.#poll;
    poll.note(node, word, cause);
    const settle = this.#settle;
    if (settle === undefined) return;
    const { quorum, ports } = this.#context.masters;
    let outcome: ExtendOutcome | undefined;
    if (poll.count("granted") >= quorum) outcome = EXTENDED;
    else if (poll.count("gone") + poll.count("held") > ports.length - quorum) {
      outcome = { kind: "lost", votes: poll.report() };
    } else if (poll.count("pending") === 0) {
      outcome = { kind: "unconfirmed", votes: poll.report() };
    }
    if (outcome === undefined) return;
    this.#settle = undefined;
    settle(outcome);
  }
}

/** What masters say to one release. */
class ReleaseTally implements Responses<ReleaseReply>, ReleaseOutcome {
  readonly #poll: Poll;
  readonly #quorum: number;
  readonly #claim: Claim;
  readonly #listener: TurnListener;
  #settle: ((outcome: ReleaseOutcome) => void) | undefined;

  constructor(
    { names, quorum }: Masters,
    claim: Claim,
    listener: TurnListener,
    settle: (outcome: ReleaseOutcome) => void,
  ) {
    this.#poll = new Poll(names);
    this.#quorum = quorum;
    this.#claim = claim;
    this.#listener = listener;
    this.#settle = settle;
  }

  get confirmed(): boolean {
    return this.#poll.count("granted") >= this.#quorum;
  }

  get votes(): NodeVote[] {
    return this.#poll.report();
  }

  answer(node: number, { deleted, turns }: ReleaseReply): void {
    this.#listener.heard(node, turns);
    this.#note(node, deleted === this.#claim.keys.length ? "granted" : "gone");
  }

  failure(node: number, { failure, message }: NodeError): void {
    this.#note(node, failure, message);
  }

  late(node: number, { turns }: ReleaseReply): void {
    this.#listener.heard(node, turns);
  }

  #note(node: number, word: NodeVote["vote"], cause?: string): void {
    this.#poll.note(node, word, cause);
    const deleted = this.#poll.count("granted");
    const settle = this.#settle;
    const isOpen = deleted < this.#quorum && deleted + this.#poll.count("pending") >= this.#quorum;
    if (settle === undefined || isOpen) return;
    this.#settle = undefined;
    settle(this);
  }
}

/** Nobody hears of it. */
function unheard(): void {}
