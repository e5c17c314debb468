import type { LockContext } from "../lock/lock-context.ts";
import { acquireOperation } from "../lock/acquire-operation.ts";
import type { Requester } from "../lock/lock-identity.ts";
import { describeUnarmed } from "../lock/acquire-round.ts";

/** The check is in no wait list. */
const UNLISTED: Requester = {
  process: "",
  queueId: "",
  position: "",
  run: 0,
  replaceable: false,
  joins: undefined,
};

/** Whether a master votes, over the connection that locks use. */
export type VoteCheck =
  | { readonly state: "votes" }
  /** It may have forgotten locks, and gives no vote for so many milliseconds. */
  | { readonly state: "quarantined"; readonly remaining: number }
  /** Its guard gives no vote yet. */
  | { readonly state: "unarmed"; readonly cause: string }
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
  let open = masters.ports.length;
  await new Promise<void>((resolve) => {
    const put = (node: number, voteCheck: VoteCheck): void => {
      votes[node] = voteCheck;
      open -= 1;
      if (open === 0) resolve();
    };
    const identity = { names, keys: [], owner: "ready", token: 1, guarded: guards.enabled };
    masters.broadcast(
      acquireOperation,
      { ...identity, requester: UNLISTED, ttl: maxTtl, holder: "" },
      {
        answer: (node, reply) => {
          guards.heard(node, reply);
          if (reply.status === "quarantined") {
            put(node, { state: reply.status, remaining: reply.remaining });
          } else if (reply.status === "unarmed" || reply.status === "too long") {
            put(node, { state: "unarmed", cause: describeUnarmed(reply) });
          } else put(node, { state: "votes" });
        },
        failure: (node, { failure, message }) =>
          put(node, { state: failure === "duplicate" ? failure : "failed", cause: message }),
      },
    );
  });
  await guards.settled();
}
