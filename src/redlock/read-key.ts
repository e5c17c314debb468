import { LockUnavailableError, type NodeVote } from "../errors.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { type Reading, readOperation, type ReadReply } from "../lock/read-operation.ts";
import { NodeError } from "../redis/node-error.ts";

/** What one master answered about a key. */
export type KeyReply = ReadReply | NodeError;

/** Reads a key, and a page of its wait list, on every master. */
export function readKey(
  { masters, names }: LockContext,
  key: string,
  page: Pick<Reading, "from" | "count"> = {},
): Promise<KeyReply[]> {
  return masters.gatherAll(readOperation, { names, key, ...page });
}

/** The replies of the masters that answered. */
export function answersOf(replies: readonly KeyReply[]): ReadReply[] {
  return replies.flatMap((reply) => (reply instanceof Error ? [] : [reply]));
}

/** The reply with the longest wait list: a master that was away does not know all waiters. */
export function longestList(replies: readonly KeyReply[]): ReadReply | undefined {
  return answersOf(replies).toSorted((a, b) => b.waiting - a.waiting)[0];
}

/** Throws unless a quorum has answered. @throws {LockUnavailableError} */
export function requireQuorum(
  { masters, nodeTimeout }: LockContext,
  keys: readonly string[],
  replies: readonly unknown[],
): void {
  const { names, quorum } = masters;
  const votes = replies.map((reply, index): NodeVote => {
    const node = names[index] ?? "";
    return reply instanceof NodeError
      ? { node, vote: reply.failure, cause: reply.message }
      : { node, vote: "free", cause: undefined };
  });
  if (votes.filter(({ vote }) => vote === "free").length >= quorum) return;
  throw new LockUnavailableError({ keys, votes, quorum, nodeTimeout });
}

/** How many waiters are read at once: well below a millisecond of a master's time. */
const PAGE = 500;

/**
 * Iterates over all waiters of a key, by the master that knows most of them.
 * @throws {LockUnavailableError} when no quorum answers.
 */
export async function* walkPositions(
  context: LockContext,
  key: string,
): AsyncGenerator<ReadReply["first"][number], void, void> {
  const seen = new Set<string>();
  for (let from = 0; ; from += PAGE) {
    const replies = await readKey(context, key, { from, count: PAGE });
    requireQuorum(context, [key], replies);
    const waiters = longestList(replies)?.first ?? [];
    for (const waiter of waiters) {
      // The list may have moved since the last page.
      if (!seen.has(waiter.position)) yield waiter;
      seen.add(waiter.position);
    }
    if (waiters.length < PAGE) return;
  }
}
