import type { NodeVote } from "../errors.ts";
import type { NodeError } from "../redis/node-error.ts";
import type { KeyHolder } from "./acquire-operation.ts";

/** More than half: any two quorums share a master. */
export function quorumOf(nodes: number): number {
  return Math.floor(nodes / 2) + 1;
}

/** What one master has said in one round so far. */
export type Vote =
  | { readonly kind: "pending" }
  | { readonly kind: "granted" }
  | { readonly kind: "stale"; readonly mark: number }
  | { readonly kind: "replaced"; readonly by: string }
  | { readonly kind: "busy"; readonly mark: number; readonly holders: readonly KeyHolder[] }
  /** The master must not vote: it may have forgotten locks. */
  | { readonly kind: "barred"; readonly reason: "quarantined" | "unarmed"; readonly cause: string }
  | { readonly kind: "failed"; readonly error: NodeError };

/** What a round comes to. */
export type Verdict =
  | { readonly kind: "undecided" }
  | { readonly kind: "granted" }
  /** A higher token is known; with a still higher one a quorum may be won. */
  | { readonly kind: "stale" }
  /** A later place in line stands for ours. */
  | { readonly kind: "replaced"; readonly by: string }
  /** `holder` has a quorum, or had one and is still there. */
  | { readonly kind: "conflict"; readonly holder: KeyHolder }
  /** Others hold minorities; none has won as far as can be seen. */
  | { readonly kind: "split"; readonly blockers: readonly KeyHolder[] }
  /** A quorum answered, but something that is no lock is in the way. */
  | { readonly kind: "obstructed"; readonly cause: string }
  | { readonly kind: "unavailable" };

/**
 * Judges the votes of a round; called again with every vote, it decides as soon as no further vote can change
 * the outcome.
 *
 * The order of the questions is what keeps the outcomes apart: a grant is a grant whatever the others say; a
 * conflict needs a holder that has (or had) a quorum of its own; what remains is a split as long as a quorum
 * answered, and unavailable otherwise.
 */
export function judge(votes: readonly Vote[], quorum: number, token: number): Verdict {
  const { granted, stale, busy, pending, replaced } = count(votes);
  if (replaced !== undefined) return replaced;
  const winnable = granted + stale;
  if (winnable >= quorum) {
    return granted >= quorum && highestMark(votes) < token ? GRANTED : STALE;
  }
  if (winnable + pending >= quorum) return UNDECIDED;

  const holders = votes.flatMap((vote) => (vote.kind === "busy" ? vote.holders : []));
  const winner = holders.find((holder) => holdersLike(holders, holder) >= quorum);
  if (winner !== undefined) return conflictWith(winner, holders);
  if (pending > 0) return UNDECIDED;

  const obstructions = votes.filter(isObstruction);
  const answered = winnable + busy + obstructions.length;
  if (answered < quorum) return { kind: "unavailable" };
  // A minority of one that has extended did win a quorum: the masters that knew of it are the silent ones.
  const confirmed = holders.find((holder) => holder.confirmed);
  if (confirmed !== undefined) return conflictWith(confirmed, holders);
  const [obstruction] = obstructions;
  if (obstruction !== undefined && answered - obstructions.length < quorum) {
    return { kind: "obstructed", cause: obstruction.error.message };
  }
  return { kind: "split", blockers: holders };
}

/** Masters hear of those who wait at different times: the one that knows most of them counts. */
function conflictWith(holder: KeyHolder, holders: readonly KeyHolder[]): Verdict {
  const counts = holders.filter(({ key }) => key === holder.key).map(({ waiting }) => waiting);
  return { kind: "conflict", holder: { ...holder, waiting: Math.max(...counts) } };
}

const UNDECIDED: Verdict = { kind: "undecided" };
const GRANTED: Verdict = { kind: "granted" };
const STALE: Verdict = { kind: "stale" };

interface Count {
  granted: number;
  stale: number;
  busy: number;
  pending: number;
  replaced: (Vote & { kind: "replaced" }) | undefined;
}

/** One pass, no arrays: it runs with every vote of every round. */
function count(votes: readonly Vote[]): Count {
  const counted: Count = { granted: 0, stale: 0, busy: 0, pending: 0, replaced: undefined };
  for (const vote of votes) {
    if (vote.kind === "granted") counted.granted += 1;
    else if (vote.kind === "pending") counted.pending += 1;
    else if (vote.kind === "busy") counted.busy += 1;
    else if (vote.kind === "stale") counted.stale += 1;
    else if (vote.kind === "replaced") counted.replaced ??= vote;
  }
  return counted;
}

/** The highest token that a vote names; 0 when it names none. */
export function markOf(vote: Vote): number {
  return vote.kind === "stale" || vote.kind === "busy" ? vote.mark : 0;
}

/** The highest token that any vote names. */
function highestMark(votes: readonly Vote[]): number {
  let highest = 0;
  for (const vote of votes) highest = Math.max(highest, markOf(vote));
  return highest;
}

/** The votes of one round of one holder: those of several rounds do not add up to a quorum. */
function holdersLike(holders: readonly KeyHolder[], { key, id, token }: KeyHolder): number {
  return holders.filter((other) => other.key === key && other.id === id && other.token === token)
    .length;
}

function isObstruction(vote: Vote): vote is Vote & { kind: "failed" } {
  return vote.kind === "failed" && vote.error.message.startsWith("WRONGTYPE");
}

/** The votes as the user sees them. */
export function reportVotes(names: readonly string[], votes: readonly Vote[]): NodeVote[] {
  return votes.map((vote, index) => {
    const node = names[index] ?? "";
    switch (vote.kind) {
      case "failed":
        return { node, vote: vote.error.failure, cause: vote.error.message };
      case "granted":
      case "stale":
        return { node, vote: "free", cause: undefined };
      case "busy":
      case "replaced":
        return { node, vote: "held", cause: undefined };
      case "pending":
        return { node, vote: "pending", cause: undefined };
      case "barred":
        return { node, vote: vote.reason, cause: vote.cause };
      default:
        return vote satisfies never;
    }
  });
}
