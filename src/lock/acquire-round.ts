import { describeQuarantine } from "../sentences.ts";
import type { NodeError } from "../redis/node-error.ts";
import type { Responses, ServedBy } from "../redis/operation.ts";
import { type AcquireReply, acquireOperation, type UnarmedGuard } from "./acquire-operation.ts";
import { Lease, type RollbackListener } from "./lease.ts";
import type { LockContext } from "./lock-context.ts";
import type { TimedIdentity } from "./lock-identity.ts";
import { judge, markOf, type Verdict, type Vote } from "./quorum.ts";

const UNDECIDED: Verdict = { kind: "undecided" };
const PENDING: Vote = { kind: "pending" };
const GRANTED = { kind: "granted" } as const;

/** Follows a round. */
export interface RoundListener {
  /** The masters that may hold something of the attempt in the slots of the round. A master that has only refused does not. */
  readonly traces: boolean[];
  /** There is a verdict. Runs once. */
  onDecided(round: AcquireRound): void;
}

/**
 * One round of voting: asks all masters once, with one token, and judges their votes until they are decided.
 *
 * One object without closures, because nearly every lock needs one.
 */
export class AcquireRound implements Responses<AcquireReply> {
  readonly lease: Lease;
  verdict: Verdict = UNDECIDED;
  readonly #context: LockContext;
  readonly #listener: RoundListener;
  /** The listener's traces at the first vote: an attempt that moves to other slots has new ones. */
  #traces: boolean[] | undefined;
  #votes: Vote[] | undefined;
  #servedBy: ServedBy | undefined;
  /** Present from {@link rollBack} on. */
  #rollbackListener: RollbackListener | undefined;

  constructor(context: LockContext, identity: TimedIdentity, listener: RoundListener) {
    this.#context = context;
    this.#listener = listener;
    this.lease = new Lease(context, identity);
  }

  /** The votes so far, in the order of the masters. */
  get votes(): Vote[] {
    const { names } = this.#context.masters;
    this.#votes ??= names.map((_, node) =>
      this.#servedBy?.sentAt(node) === undefined ? PENDING : GRANTED,
    );
    return this.#votes;
  }

  get quorum(): number {
    return this.#context.masters.quorum;
  }

  /** Asks all masters. To be called once. */
  ask(): void {
    this.#context.masters.broadcast(acquireOperation, this.lease.identity, this);
  }

  served(by: ServedBy): void {
    this.#servedBy = by;
    this.#context.guards.onServed();
    this.#context.refusals.onServed(by);
    this.lease.served(by, this.lease.ttl);
    this.verdict = GRANTED;
    this.#listener.onDecided(this);
  }

  answer(node: number, reply: AcquireReply, sentAt: number): void {
    this.#note(node, reply, sentAt);
    this.#cast(node, voteOf(reply));
  }

  failure(node: number, error: NodeError): void {
    this.#cast(node, { kind: "failed", error });
  }

  /** A late answer is no vote, but counts for the lease. */
  late(node: number, reply: AcquireReply, sentAt: number): void {
    this.#note(node, reply, sentAt);
  }

  /**
   * Rolls back what the rounds of the attempt may have left: at once on the masters that have voted, on the others after
   * their votes. A master that failed may still have granted.
   */
  rollBack(freed: RollbackListener): void {
    if (this.#servedBy !== undefined) {
      // A master that has not answered yet executes the rollback after the request.
      for (const node of this.votes.keys()) this.lease.rollBack(node, freed);
      return;
    }
    this.#rollbackListener = freed;
    for (const node of this.votes.keys()) this.#rollBackOn(node, freed);
  }

  #note(node: number, reply: AcquireReply, sentAt: number): void {
    this.#context.guards.onReply(node, reply);
    // Also after the verdict: each further master makes the lock last longer.
    if (reply.status !== "granted") return;
    this.lease.confirm(node, sentAt, this.lease.ttl);
    if (reply.differing !== undefined) this.#context.onOtherLimit(reply.differing);
  }

  #cast(node: number, vote: Vote): void {
    const { masters, tokens, refusals } = this.#context;
    this.votes[node] = vote;
    refusals.note(node, vote);
    this.#traces ??= this.#listener.traces;
    if (!leavesNothing(vote)) this.#traces[node] = true;
    const listener = this.#rollbackListener;
    if (listener !== undefined) this.#rollBackOn(node, listener);
    tokens.observe(markOf(vote));
    if (this.verdict.kind !== "undecided") return;
    this.verdict = judge(this.votes, masters.quorum, this.lease.identity.token);
    if (this.verdict.kind !== "undecided") this.#listener.onDecided(this);
  }

  #rollBackOn(node: number, freed: RollbackListener): void {
    const hasTrace = this.votes[node] !== PENDING && this.#traces?.[node] === true;
    if (hasTrace) this.lease.rollBack(node, freed);
  }
}

const UNARMED: Record<UnarmedGuard, string> = {
  absent: "new, or lost its memory",
  other: "was restarted, or took the data of another server",
  unsure:
    "lost its memory, and no master has reported yet how long the locks can be that it forgot",
};

/** Describes why a guard gives no vote. */
export function describeUnarmed(
  reply: AcquireReply & { readonly status: "unarmed" | "too long" },
): string {
  if (reply.status === "unarmed") return UNARMED[reply.guard];
  return "not all masters know of so long a ttl yet";
}

/** Whether the master has stored nothing. */
function leavesNothing(vote: Vote): boolean {
  if (vote.kind === "barred") return vote.reason === "unarmed";
  return vote.kind === "busy" || vote.kind === "stale" || vote.kind === "replaced";
}

function voteOf(reply: AcquireReply): Vote {
  switch (reply.status) {
    case "granted":
      return GRANTED;
    case "stale":
      return { kind: "stale", mark: reply.mark };
    case "busy":
      // An attempt of another client that the master has accepted in quarantine holds nothing.
      if (reply.holders.every(({ provisional }) => provisional)) return quarantined(undefined);
      return { kind: "busy", mark: reply.mark, holders: reply.holders };
    case "replaced":
      return { kind: "replaced", by: reply.by };
    case "quarantined":
      return quarantined(reply.remaining);
    case "unarmed":
    case "too long":
      return { kind: "barred", reason: "unarmed", cause: describeUnarmed(reply) };
    default:
      return reply satisfies never;
  }
}

function quarantined(remaining: number | undefined): Vote {
  return { kind: "barred", reason: "quarantined", cause: describeQuarantine(remaining) };
}
