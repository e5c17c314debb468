import type { LockContext } from "../lock/lock-context.ts";
import { NodeError } from "../redis/node-error.ts";
import { askNode } from "../redis/node-port.ts";
import { joinOperation } from "./join-operation.ts";
import { type ListSizes, pageOperation, sizesOperation } from "./repair-operations.ts";
import { isLive } from "./waiter.ts";

/** How many waiters travel at once: a few milliseconds of a master's time. */
const PAGE = 100;

/**
 * Gives back the wait lists of a queue to a master that has lost its memory, from those of the masters that know more. Without that
 * each job would be back in its place only when its own delay has ended, and after a restart of all masters, one at a time, no
 * master would know any waiter.
 *
 * Live waiters are left out: they join again within a second. A waiter that leaves meanwhile is found to be gone when it is its turn.
 */
export async function repairWaitLists(
  context: LockContext,
  node: number,
  queueId: string,
  closing: AbortSignal,
): Promise<void> {
  const { masters, names } = context;
  const sizes = await masters.gatherAll(sizesOperation, { names, queueId });
  const there = sizes[node];
  if (there === undefined || there instanceof NodeError) return;
  for (const [key, { size, source }] of largestOf(sizes)) {
    // Another process may have done so already.
    if (size <= (there.get(key) ?? 0)) continue;
    for (let from = 0; from < size; from += PAGE) {
      if (closing.aborted) return;
      await copyPage(context, { key, from, source, target: node });
    }
  }
}

/** For each key the largest wait list, and the master that has it. */
function largestOf(
  sizes: readonly (ListSizes | NodeError)[],
): Map<string, { size: number; source: number }> {
  const largest = new Map<string, { size: number; source: number }>();
  for (const [source, known] of sizes.entries()) {
    if (known instanceof NodeError) continue;
    for (const [key, size] of known) {
      if (size > (largest.get(key)?.size ?? 0)) largest.set(key, { size, source });
    }
  }
  return largest;
}

async function copyPage(
  { masters, names, process }: LockContext,
  { key, from, source, target }: { key: string; from: number; source: number; target: number },
): Promise<void> {
  const [there, here] = [masters.ports[source], masters.ports[target]];
  if (there === undefined || here === undefined) return;
  const { reply } = await askNode(there, pageOperation, { names, key, from, count: PAGE });
  const newcomers = reply
    .filter((waiter) => !isLive(waiter) && waiter.record !== "")
    .map((waiter) => ({ ...waiter, replaces: false }));
  if (newcomers.length === 0) return;
  const joining = { names, keys: [key], limits: [1], newcomers, process, live: false };
  await askNode(here, joinOperation, joining);
}
