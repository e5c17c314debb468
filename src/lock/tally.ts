import type { NodeVote } from "../errors.ts";
import type { NodeError } from "../redis/node-error.ts";
import type { Responses, ServedBy } from "../redis/operation.ts";
import type { ExtendReply } from "./extend-operation.ts";
import type { LockContext } from "./lock-context.ts";
import type { Masters } from "./masters.ts";
import type { ReleaseReply } from "./release-operation.ts";
import type { ReservationReply } from "./wait-list-hooks.ts";

/** How an attempt to extend ended. `lost` is final. */
export type ExtendOutcome =
  | { readonly kind: "extended" }
  | { readonly kind: "lost"; readonly votes: readonly NodeVote[] }
  | { readonly kind: "unconfirmed"; readonly votes: readonly NodeVote[] };

/** How a release ended. */
export interface ReleaseOutcome {
  /** True when a quorum deleted the keys. */
  readonly confirmed: boolean;
  readonly votes: readonly NodeVote[];
}

/** Receives for which waiters released keys are reserved. */
export interface ReservationListener {
  /** These masters have freed the only key, which has no waiter there. */
  onFreed(by: ServedBy): void;
  /** What a master reports for each key, in order; also after the release has settled. */
  onReservations(node: number, reservations: readonly ReservationReply[]): void;
}

/**
 * The votes of the masters on one extend or release. It settles once, as soon as the outcome is certain. The report is made
 * only when it is read.
 */
abstract class Tally<O> {
  readonly #names: readonly string[];
  /** Those of answers of their own; see {@link servedBy} for the others. */
  #votes: NodeVote["vote"][] | undefined;
  #causes: (string | undefined)[] | undefined;
  #settle: ((outcome: O) => void) | undefined;
  protected servedBy: ServedBy | undefined;

  constructor(names: readonly string[], settle: (outcome: O) => void) {
    this.#names = names;
    this.#settle = settle;
  }

  failure(node: number, { failure, message }: NodeError): void {
    this.note(node, failure, message);
  }

  /** Counts the vote of a master; it replaces an earlier vote of that master. */
  protected note(node: number, vote: NodeVote["vote"], cause?: string): void {
    (this.#votes ??= [])[node] = vote;
    if (cause !== undefined || this.#causes !== undefined) (this.#causes ??= [])[node] = cause;
    const outcome = this.#settle && this.decide();
    if (outcome !== undefined) this.settle(outcome);
  }

  /** Only the first call counts. */
  protected settle(outcome: O): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(outcome);
  }

  /** Returns the outcome that no further vote can change; `undefined` while there is none. */
  protected abstract decide(): O | undefined;

  protected count(vote: NodeVote["vote"]): number {
    let counted = 0;
    for (let node = 0; node < this.#names.length; node++) {
      if (this.#voteOf(node) === vote) counted += 1;
    }
    return counted;
  }

  /** All votes, in the order of the masters. */
  protected report(): NodeVote[] {
    return this.#names.map((name, node) => ({
      node: name,
      vote: this.#voteOf(node),
      cause: this.#causes?.[node],
    }));
  }

  #voteOf(node: number): NodeVote["vote"] {
    const isServed = this.servedBy?.sentAt(node) !== undefined;
    return this.#votes?.[node] ?? (isServed ? "granted" : "pending");
  }
}

const EXTENDED: ExtendOutcome = { kind: "extended" };
const TOO_LATE = "the answer came after the lock had ended";

/** What an extend changes in the lease that it extends; see `Lease`. */
interface ExtendedLease {
  readonly validUntil: number;
  served(by: ServedBy, ttl: number): void;
  confirm(node: number, sentAt: number, ttl: number): void;
  revoke(node: number, sentAt: number): void;
}

/** The votes on one extend. */
export class ExtendTally extends Tally<ExtendOutcome> implements Responses<ExtendReply> {
  readonly #context: LockContext;
  readonly #lease: ExtendedLease;
  readonly #ttl: number;

  constructor(
    context: LockContext,
    lease: ExtendedLease,
    ttl: number,
    settle: (outcome: ExtendOutcome) => void,
  ) {
    super(context.masters.names, settle);
    this.#context = context;
    this.#lease = lease;
    this.#ttl = ttl;
  }

  served(by: ServedBy): void {
    const { clock, guards, masters } = this.#context;
    guards.onServed();
    if (clock.now() < this.#lease.validUntil) {
      this.servedBy = by;
      this.#lease.served(by, this.#ttl);
      return this.settle(EXTENDED);
    }
    for (const node of masters.names.keys()) {
      if (by.sentAt(node) !== undefined) this.note(node, "timed-out", TOO_LATE);
    }
    this.settle({ kind: "unconfirmed", votes: this.report() });
  }

  answer(node: number, reply: ExtendReply, sentAt: number): void {
    const { clock, guards } = this.#context;
    const { status } = reply;
    guards.onReply(node, reply);
    if (status === "gone" || status === "taken") {
      this.#lease.revoke(node, sentAt);
      this.note(node, status === "gone" ? "gone" : "held");
    } else if (status === "quarantined") {
      this.note(node, "quarantined", "the key was set after the master had lost its memory");
    } else if (status === "unarmed") {
      this.note(node, "unarmed", "the master has lost its memory");
    } else if (status === "too long") {
      this.note(node, "unarmed", `the master did not know of a ttl of ${this.#ttl} ms`);
    } else if (clock.now() >= this.#lease.validUntil) {
      this.note(node, "timed-out", TOO_LATE);
    } else {
      this.#lease.confirm(node, sentAt, this.#ttl);
      this.note(node, "granted");
    }
  }

  late(node: number, reply: ExtendReply, sentAt: number): void {
    this.answer(node, reply, sentAt);
  }

  protected decide(): ExtendOutcome | undefined {
    const { clock, masters } = this.#context;
    const { quorum, ports } = masters;
    if (this.count("granted") >= quorum) return EXTENDED;
    const denied = this.count("gone") + this.count("held");
    // One denial ends a lock that no other quorum had confirmed.
    const hasEnded = denied > 0 && clock.now() >= this.#lease.validUntil;
    if (hasEnded || denied > ports.length - quorum) return { kind: "lost", votes: this.report() };
    return this.count("pending") === 0 ? { kind: "unconfirmed", votes: this.report() } : undefined;
  }
}

/** The votes on one release, and its outcome. */
export class ReleaseTally
  extends Tally<ReleaseOutcome>
  implements Responses<ReleaseReply>, ReleaseOutcome
{
  readonly #quorum: number;
  readonly #keys: number;
  readonly #listener: ReservationListener;

  /** @param keys the number of keys that are released. */
  constructor(
    { names, quorum }: Masters,
    keys: number,
    listener: ReservationListener,
    settle: (outcome: ReleaseOutcome) => void,
  ) {
    super(names, settle);
    this.#quorum = quorum;
    this.#keys = keys;
    this.#listener = listener;
  }

  get confirmed(): boolean {
    return this.count("granted") >= this.#quorum;
  }

  get votes(): NodeVote[] {
    return this.report();
  }

  served(by: ServedBy): void {
    this.servedBy = by;
    this.#listener.onFreed(by);
    this.settle(this);
  }

  answer(node: number, { deleted, reservations }: ReleaseReply): void {
    this.#listener.onReservations(node, reservations);
    this.note(node, deleted === this.#keys ? "granted" : "gone");
  }

  late(node: number, { reservations }: ReleaseReply): void {
    this.#listener.onReservations(node, reservations);
  }

  protected decide(): ReleaseOutcome | undefined {
    const possible = this.count("granted") + this.count("pending");
    return this.confirmed || possible < this.#quorum ? this : undefined;
  }
}
