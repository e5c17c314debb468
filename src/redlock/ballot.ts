import type { LockContext } from "../lock/context.ts";
import { acquireOperation } from "../lock/acquiring.ts";
import type { Caller } from "../lock/claim.ts";
import { describeUnarmed } from "../lock/round.ts";

/** Nobody: an examination stands in no line. */
const NOBODY: Caller = {
  process: "",
  home: "",
  place: "",
  run: 0,
  replaceable: false,
  joins: undefined,
};

/** Whether a master votes, over the connection that locks use. */
export type Ballot =
  | { readonly state: "votes" }
  /** It may have forgotten locks, and does not vote for so many milliseconds. */
  | { readonly state: "quarantined"; readonly remaining: number }
  /** Its guard gives no vote yet. */
  | { readonly state: "unarmed"; readonly cause: string }
  /** Another entry speaks for the same server. */
  | { readonly state: "duplicate"; readonly cause: string }
  | { readonly state: "failed"; readonly cause: string };

/**
 * Asks all masters for their votes on no keys at all: that stores nothing, and each says whether it votes. Connects
 * at first use, and arms guards as an acquisition does. Each ballot is put in its place as soon as it is there: who has
 * no time to wait for a master that hangs has those of the others. Resolves when all are there.
 */
export async function askForVotes(
  { masters, guards, names }: LockContext,
  maxTtl: number,
  ballots: Ballot[],
): Promise<void> {
  let open = masters.ports.length;
  await new Promise<void>((resolve) => {
    const put = (node: number, ballot: Ballot): void => {
      ballots[node] = ballot;
      open -= 1;
      if (open === 0) resolve();
    };
    const claim = { names, keys: [], owner: "ready", token: 1, guarded: guards.enabled };
    const caller = NOBODY;
    masters.broadcast(
      acquireOperation,
      { ...claim, caller, ttl: maxTtl, holder: "" },
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
