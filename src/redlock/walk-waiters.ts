import type { LockContext } from "../lock/lock-context.ts";
import type { ReadReply } from "../lock/read-operation.ts";
import { inspectKey, toWaiter, type WaiterInspection } from "./inspect.ts";
import { answersOf, longestList, readKey } from "./read-key.ts";

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
    // Throws, with the answer of each master.
    if (answersOf(replies).length < context.masters.quorum) await inspectKey(context, key);
    const waiters = longestList(replies)?.first ?? [];
    for (const waiter of waiters) {
      // The list may have moved since the last page.
      if (!seen.has(waiter.position)) yield waiter;
      seen.add(waiter.position);
    }
    if (waiters.length < PAGE) return;
  }
}

/** As {@link walkPositions}, for people. */
export async function* walkWaiters(
  context: LockContext,
  key: string,
): AsyncGenerator<WaiterInspection, void, void> {
  for await (const waiter of walkPositions(context, key)) yield toWaiter(waiter);
}
