import type { NodeVote } from "../errors.ts";
import type { NodeError } from "../redis/node-error.ts";
import type { Responses } from "../redis/operation.ts";
import type { LockContext } from "./lock-context.ts";
import type { ExtendReply } from "./extend-operation.ts";
import type { ReservationReply } from "./wait-list-hooks.ts";
import type { Masters } from "./masters.ts";
import type { ReleaseReply } from "./release-operation.ts";

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

/** Hears whose turn it is. */
export interface ReservationListener {
  /** What a master says, for each key in order; also after the release has settled. */
  heard(node: number, reservations: readonly ReservationReply[]): void;
}

/** What an extend prolongs. */
interface ExtendedLease {
  readonly validUntil: number;
  confirm(node: number, sentAt: number, ttl: number): void;
  revoke(node: number, sentAt: number): void;
}

type RegisterReply = NodeVote["vote"];

/**
 * What the masters have said so far to one extend or release; settles once, as soon as its outcome is certain. The words are put
 * together only when they are read.
 */
abstract class Tally<O> {
  readonly #names: readonly string[];
  readonly #words: RegisterReply[];
  #causes: (string | undefined)[] | undefined;
  #settle: ((outcome: O) => void) | undefined;

  constructor(names: readonly string[], settle: (outcome: O) => void) {
    this.#names = names;
    this.#words = names.map(() => "pending");
    this.#settle = settle;
  }

  failure(node: number, { failure, message }: NodeError): void {
    this.note(node, failure, message);
  }

  /** A master has said something; a later word takes the place of an earlier one. */
  protected note(node: number, word: RegisterReply, cause?: string): void {
    this.#words[node] = word;
    if (cause !== undefined || this.#causes !== undefined) (this.#causes ??= [])[node] = cause;
    const settle = this.#settle;
    const outcome = settle && this.decide();
    if (outcome === undefined) return;
    this.#settle = undefined;
    settle?.(outcome);
  }

  /** The outcome that no further word can change; `undefined` while there is none. */
  protected abstract decide(): O | undefined;

  /** How many masters have said this last. */
  protected count(word: RegisterReply): number {
    let counted = 0;
    for (const said of this.#words) if (said === word) counted += 1;
    return counted;
  }

  /** All of it, in the order of the masters. */
  protected report(): NodeVote[] {
    return this.#words.map((vote, node) => ({
      node: this.#names[node] ?? "",
      vote,
      cause: this.#causes?.[node],
    }));
  }
}

const EXTENDED: ExtendOutcome = { kind: "extended" };

/** What masters say to one extend. */
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

  answer(node: number, reply: ExtendReply, sentAt: number): void {
    const { clock, guards } = this.#context;
    const { status } = reply;
    guards.heard(node, reply);
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
      this.note(node, "timed-out", "the answer came after the lock had ended");
    } else {
      this.#lease.confirm(node, sentAt, this.#ttl);
      this.note(node, "granted");
    }
  }

  late(node: number, reply: ExtendReply, sentAt: number): void {
    this.answer(node, reply, sentAt);
  }

  protected decide(): ExtendOutcome | undefined {
    const { quorum, ports } = this.#context.masters;
    if (this.count("granted") >= quorum) return EXTENDED;
    if (this.count("gone") + this.count("held") > ports.length - quorum) {
      return { kind: "lost", votes: this.report() };
    }
    return this.count("pending") === 0 ? { kind: "unconfirmed", votes: this.report() } : undefined;
  }
}

/** What masters say to one release; its own outcome. */
export class ReleaseTally
  extends Tally<ReleaseOutcome>
  implements Responses<ReleaseReply>, ReleaseOutcome
{
  readonly #quorum: number;
  readonly #keys: number;
  readonly #listener: ReservationListener;

  /** @param keys how many keys are given back. */
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

  answer(node: number, { deleted, reservations }: ReleaseReply): void {
    this.#listener.heard(node, reservations);
    this.note(node, deleted === this.#keys ? "granted" : "gone");
  }

  late(node: number, { reservations }: ReleaseReply): void {
    this.#listener.heard(node, reservations);
  }

  protected decide(): ReleaseOutcome | undefined {
    const possible = this.count("granted") + this.count("pending");
    return this.confirmed || possible < this.#quorum ? this : undefined;
  }
}
