import type { LockContext } from "../lock/lock-context.ts";
import { type Reading, readOperation, type ReadReply } from "../lock/read-operation.ts";
import { readSlotsOperation, type SlotContent } from "../lock/read-slots-operation.ts";
import type { NodeError } from "../redis/node-error.ts";
import type { Operation } from "../redis/operation.ts";

/** What one master answered about a key. */
export type KeyReply = ReadReply | NodeError;

/** Reads a key, and a page of its wait list, on every master. */
export function readKey(
  { masters, names }: LockContext,
  key: string,
  page: Pick<Reading, "from" | "count"> = {},
): Promise<KeyReply[]> {
  return askAll(masters, readOperation, { names, key, ...page });
}

/** Reads the first slots of a key on every master. */
export function readSlots(
  { masters, names }: LockContext,
  key: string,
  count: number,
): Promise<(readonly SlotContent[] | NodeError)[]> {
  return askAll(masters, readSlotsOperation, { names, key, count });
}

/** Asks every master, and resolves with all answers in the order of the masters. */
function askAll<A, R>(
  masters: LockContext["masters"],
  operation: Operation<A, R>,
  args: A,
): Promise<(R | NodeError)[]> {
  const replies: (R | NodeError)[] = [];
  return new Promise((resolve) => {
    masters.gather(operation, args, (node, reply, open) => {
      replies[node] = reply;
      if (open === 0) resolve(replies);
    });
  });
}

/** The replies of the masters that answered. */
export function answersOf(replies: readonly KeyReply[]): ReadReply[] {
  return replies.flatMap((reply) => (reply instanceof Error ? [] : [reply]));
}

/** The reply with the longest wait list: a master that was away does not know all waiters. */
export function longestList(replies: readonly KeyReply[]): ReadReply | undefined {
  return answersOf(replies).toSorted((a, b) => b.waiting - a.waiting)[0];
}
