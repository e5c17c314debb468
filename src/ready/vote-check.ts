import type { LockContext } from "../lock/lock-context.ts";
import { type AcquireReply, acquireOperation } from "../lock/acquire-operation.ts";
import { unlisted } from "../lock/lock-identity.ts";
import { describeUnarmed } from "../lock/acquire-round.ts";
import { NodeError } from "../redis/node-error.ts";

/** Whether a master votes, over the connection that locks use. */
export type VoteCheck =
  | { readonly state: "votes" }
  /** It may have forgotten locks, and gives no vote for so many milliseconds. */
  | { readonly state: "quarantined"; readonly remaining: number }
  /** Its guard gives no vote yet. */
  | { readonly state: "unarmed"; readonly cause: string }
  /** Not all masters know of so long a ttl yet: it votes for shorter locks. */
  | { readonly state: "too-long" }
  /** Another entry votes for the same server. */
  | { readonly state: "duplicate"; readonly cause: string }
  | { readonly state: "failed"; readonly cause: string };

/**
 * Asks all masters for a vote on no keys: it stores nothing, and shows whether each master votes. Connects at first use,
 * and arms guards as an acquisition does. Puts each result into `votes` as soon as it is known, so that a master that
 * hangs does not hide the others. Resolves when all are known.
 */
export async function checkVotes(
  { masters, guards, names }: LockContext,
  maxTtl: number,
  votes: VoteCheck[],
): Promise<void> {
  await new Promise<void>((resolve) => {
    const none = { keys: [], slots: [], limits: undefined };
    const identity = { names, ...none, owner: "ready", token: 1, guarded: guards.enabled };
    const request = { ...identity, requester: unlisted(""), ttl: maxTtl, holder: "" };
    masters.gather(acquireOperation, request, (node, reply, open) => {
      if (!(reply instanceof NodeError)) guards.onReply(node, reply);
      votes[node] = toVoteCheck(reply);
      if (open === 0) resolve();
    });
  });
  await guards.settled();
}

function toVoteCheck(reply: AcquireReply | NodeError): VoteCheck {
  if (reply instanceof NodeError) {
    const { failure, message: cause } = reply;
    return { state: failure === "duplicate" ? failure : "failed", cause };
  }
  if (reply.status === "quarantined") return { state: reply.status, remaining: reply.remaining };
  if (reply.status === "too long") return { state: "too-long" };
  if (reply.status === "unarmed") return { state: "unarmed", cause: describeUnarmed(reply) };
  return { state: "votes" };
}
