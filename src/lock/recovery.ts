import type { LockContext } from "./lock-context.ts";
import type { Vote } from "./quorum.ts";

/**
 * Whether a round in which too few masters answered failed for its connections alone, and new ones have been made. Then
 * another round, with another token, may be granted; the first is rolled back as always. What was sent is never sent again,
 * because a master may have executed it.
 *
 * Waits for connections that are being made, for a node timeout at most.
 * @param since when the round began.
 */
export function recovers(
  { masters, clock, nodeTimeout }: LockContext,
  votes: readonly Vote[],
  since: number,
): Promise<boolean> {
  const lost = [...votes.keys()].filter((node) => isCutOff(votes[node]));
  let able = votes.filter((vote) => vote.kind !== "failed" && vote.kind !== "barred").length;
  let open = lost.length;
  if (able + open < masters.quorum) return Promise.resolve(false);
  return new Promise((resolve) => {
    const settle = (recovered: boolean): void => {
      clock.clearTimer(timer);
      resolve(recovered);
    };
    const timer = clock.timer(nodeTimeout, () => settle(false));
    for (const node of lost) {
      void masters.ports[node]?.recovers(since).then((recovered) => {
        open -= 1;
        if (recovered) able += 1;
        if (able >= masters.quorum) settle(true);
        else if (able + open < masters.quorum) settle(false);
      });
    }
  });
}

function isCutOff(vote: Vote | undefined): boolean {
  if (vote?.kind !== "failed") return false;
  const { failure } = vote.error;
  return failure === "timed-out" || failure === "unreachable";
}
