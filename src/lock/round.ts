import { type AcquireReply, acquireOperation, type UnarmedGuard } from "./acquiring.ts";
import type { Claim } from "./claim.ts";
import type { LockContext } from "./context.ts";
import { judge, markOf, type Verdict, type Vote } from "./quorum.ts";
import { Tenure, type TurnListener } from "./tenure.ts";

/** What one question to all masters came to. */
export interface RoundResult {
  readonly verdict: Verdict;
  readonly votes: readonly Vote[];
  readonly tenure: Tenure;
  /**
   * Takes back what the rounds may have left: at once where a master has granted, or said nothing and may do so late, and
   * where the vote is still to come when it is there.
   */
  rollBack(heard: TurnListener): void;
}

const UNARMED: Record<UnarmedGuard, string> = {
  absent: "new, or lost its memory",
  other: "was restarted, or took the data of another server",
  unsure: "lost its memory, and no master has told yet how long the locks can be that it forgot",
};

/** Why a guard gives no vote, in words. */
export function describeUnarmed(
  reply: AcquireReply & { readonly status: "unarmed" | "too long" },
): string {
  if (reply.status === "unarmed") return UNARMED[reply.guard];
  return "not all masters have been told of so long a ttl";
}

const PENDING: Vote = { kind: "pending" };
const GRANTED: Vote = { kind: "granted" };

/**
 * Asks all masters once, and judges their votes until they are decided.
 * @param traces gets the masters that may have something of the claim.
 */
export function runRound(
  context: LockContext,
  ttl: number,
  claim: Claim,
  traces: Set<number>,
): Promise<RoundResult> {
  const { masters, tokens, guards } = context;
  const votes: Vote[] = masters.names.map(() => PENDING);
  const tenure = new Tenure(context, claim, ttl);
  let decided = false;
  let rollingBack: TurnListener | undefined;
  const rollBackOn = (node: number): void => {
    const done = votes[node] !== PENDING && traces.has(node);
    if (done && rollingBack !== undefined) tenure.rollBack(node, rollingBack);
  };
  const rollBack = (heard: TurnListener): void => {
    rollingBack = heard;
    for (const node of votes.keys()) rollBackOn(node);
  };
  return new Promise((resolve) => {
    const cast = (node: number, vote: Vote): void => {
      votes[node] = vote;
      if (!isRefusal(vote)) traces.add(node);
      rollBackOn(node);
      tokens.observe(markOf(vote));
      if (decided) return;
      const verdict = judge(votes, masters.quorum, claim.token);
      decided = verdict.kind !== "undecided";
      if (decided) resolve({ verdict, votes, tenure, rollBack });
    };
    const heard = (node: number, reply: AcquireReply, sentAt: number): Vote => {
      guards.heard(node, reply);
      // Also after the round is decided: each further master makes the lock last longer.
      if (reply.status === "granted") tenure.confirm(node, sentAt, ttl);
      return voteOf(reply);
    };
    masters.broadcast(
      acquireOperation,
      { ...claim, ttl },
      {
        answer: (node, reply, sentAt) => cast(node, heard(node, reply, sentAt)),
        failure: (node, error) => cast(node, { kind: "failed", error }),
        // Too late for the vote, not for the lease.
        late: (node, reply, sentAt) => void heard(node, reply, sentAt),
      },
    );
  });
}

/** Whether the master has taken nothing. */
function isRefusal(vote: Vote): boolean {
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
  const until = remaining === undefined ? "" : `; votes in ${Math.ceil(remaining / 1_000)} s`;
  return { kind: "barred", reason: "quarantined", cause: `new, or lost its memory${until}` };
}
