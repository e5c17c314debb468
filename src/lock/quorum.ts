import type { NodeVote } from "../errors.ts";
import type { NodeError } from "../redis/node-error.ts";
import type { KeyHolder } from "./acquire-operation.ts";

/**
 * More than half of the masters. Any two quorums share a master, and that master gives a key to one owner at a time: so two
 * owners never have a quorum for the same key.
 * @see https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/ ("The Redlock Algorithm", step 3)
 */
export function quorumOf(nodes: number): number {
  // @protection a majority
  return Math.floor(nodes / 2) + 1;
}

/** The first of what masters name that a quorum of them names; `undefined` when they disagree. */
export function namedByQuorum<T>(
  named: readonly T[],
  quorum: number,
  isSame: (a: T, b: T) => boolean,
): T | undefined {
  return named.find((one) => named.filter((other) => isSame(one, other)).length >= quorum);
}

/** The vote of one master in one round. */
export type Vote =
  | { readonly kind: "pending" }
  | { readonly kind: "granted" }
  | { readonly kind: "stale"; readonly mark: number }
  | { readonly kind: "replaced"; readonly by: string }
  | { readonly kind: "busy"; readonly mark: number; readonly holders: readonly KeyHolder[] }
  /** The master gives no vote: it may have forgotten locks. */
  | { readonly kind: "barred"; readonly reason: "quarantined" | "unarmed"; readonly cause: string }
  | { readonly kind: "failed"; readonly error: NodeError };

/** The outcome of a round. */
export type Verdict =
  | { readonly kind: "undecided" }
  | { readonly kind: "granted" }
  /** A master knows a higher token; with a still higher one a quorum may be won. */
  | { readonly kind: "stale" }
  /** A later waiter replaces the requester. */
  | { readonly kind: "replaced"; readonly by: string }
  /** `holder` has a quorum, or had one and still holds a minority. */
  | { readonly kind: "conflict"; readonly holder: KeyHolder }
  /** Other clients hold minorities; none of them is known to have won. */
  | { readonly kind: "split"; readonly blockers: readonly KeyHolder[] }
  /** A quorum answered, but a value that is no lock is in the way. */
  | { readonly kind: "obstructed"; readonly cause: string }
  | { readonly kind: "unavailable" };

const UNDECIDED: Verdict = { kind: "undecided" };
const GRANTED: Verdict = { kind: "granted" };
const STALE: Verdict = { kind: "stale" };

/**
 * Judges the votes of a round. Pure. It runs after every vote, and decides as soon as no further vote can change the outcome.
 *
 * The order of the checks keeps the outcomes apart: a quorum of grants is a grant whatever the others vote; a conflict needs a
 * holder that has, or had, a quorum of its own; the rest is a split if a quorum answered, and unavailable otherwise.
 *
 * Invariant: `granted` only with a quorum of grants, and a token above every mark that a vote names.
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
  const winner = namedByQuorum(holders, quorum, isSameLock);
  if (winner !== undefined) return conflictWith(winner, holders);
  if (pending > 0) return UNDECIDED;

  const obstructions = votes.filter(isObstruction);
  const answered = winnable + busy + obstructions.length;
  if (answered < quorum) return { kind: "unavailable" };
  // A holder that has extended had a quorum: the other masters of that quorum are the silent ones.
  const confirmed = holders.find((holder) => holder.confirmed);
  if (confirmed !== undefined) return conflictWith(confirmed, holders);
  const [obstruction] = obstructions;
  if (obstruction !== undefined && answered - obstructions.length < quorum) {
    return { kind: "obstructed", cause: obstruction.error.message };
  }
  return { kind: "split", blockers: holders };
}

/** The highest token that a vote names; 0 when it names none. */
export function markOf(vote: Vote): number {
  return vote.kind === "stale" || vote.kind === "busy" ? vote.mark : 0;
}

/** The votes as errors and events show them. */
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

interface Count {
  granted: number;
  stale: number;
  busy: number;
  pending: number;
  replaced: (Vote & { kind: "replaced" }) | undefined;
}

/** One pass without arrays, because it runs with every vote of every round. */
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

/** The highest token that any vote names. */
function highestMark(votes: readonly Vote[]): number {
  let highest = 0;
  for (const vote of votes) highest = Math.max(highest, markOf(vote));
  return highest;
}

/** The keys of several rounds do not add up to a quorum. */
function isSameLock(a: KeyHolder, b: KeyHolder): boolean {
  return a.key === b.key && a.id === b.id && a.token === b.token;
}

function isObstruction(vote: Vote): vote is Vote & { kind: "failed" } {
  return vote.kind === "failed" && vote.error.message.startsWith("WRONGTYPE");
}

/** Masters learn of waiters at different times, so the largest count is the newest. */
function conflictWith(holder: KeyHolder, holders: readonly KeyHolder[]): Verdict {
  const counts = holders.filter(({ key }) => key === holder.key).map(({ waiting }) => waiting);
  return { kind: "conflict", holder: { ...holder, waiting: Math.max(...counts) } };
}
