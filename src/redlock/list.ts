import { refuseValue } from "../check-options.ts";
import { LockKeyError, LockUnavailableError, type NodeVote } from "../errors.ts";
import { SCAN_START, type Scanning, scanOperation } from "../lock/scan-operation.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { isForbidden, NodeError } from "../redis/node-error.ts";
import { askNode } from "../redis/node-port.ts";
import { inspectKey, type KeyInspection } from "./inspect.ts";
import { describeValue } from "../sentences.ts";

/** A key that is held, or has waiters. */
export interface ListedKey {
  key: string;
  /** The number of waiters, by the master that listed the key: other masters may know of more. */
  waiting: number;
}

/** How many keys the masters are asked about before the first pause, so that the first page of a long list stays cheap. */
const FIRST_PAGE = 100;

/** Iterates over all keys that a quorum of masters holds, and the free ones with waiters. */
export async function* listLocks(
  context: LockContext,
  pattern: string,
): AsyncGenerator<KeyInspection, void, void> {
  let asked = 0;
  for await (const step of walkKeys(context, pattern)) {
    let rest = step;
    while (rest.length > 0) {
      const count = asked < FIRST_PAGE ? FIRST_PAGE - asked : rest.length;
      // In parallel, so that a master that hangs is waited for once in each step, not for each key.
      const inspections = await Promise.all(
        rest.slice(0, count).map(async ({ key }) => await inspectKey(context, key)),
      );
      rest = rest.slice(count);
      asked += inspections.length;
      for (const inspection of inspections) {
        if (isListed(inspection)) yield inspection;
      }
    }
  }
}

function isListed({ locked, slots, waiting }: KeyInspection): boolean {
  return locked || waiting > 0 || (slots ?? []).some((slot) => slot.locked);
}

/** Iterates over the keys that the scanned masters store, each once; those of wait lists come first on each master. */
export async function* listKeys(
  context: LockContext,
  pattern: string,
): AsyncGenerator<ListedKey, void, void> {
  for await (const step of walkKeys(context, pattern)) yield* step;
}

/**
 * Scans the names of keys, step by step; each key comes once.
 *
 * A key that a quorum holds, or has a wait list for, is on one of any N - Q + 1 masters: that many must be
 * scanned, the others may be down.
 */
async function* walkKeys(
  { masters, names, nodeTimeout }: LockContext,
  pattern: string,
): AsyncGenerator<ListedKey[], void, void> {
  if (typeof pattern !== "string" || pattern === "") {
    throw new LockKeyError({
      message: `pattern: found ${describeValue(pattern)}, expected a glob such as "account:*"`,
    });
  }
  const { ports, quorum } = masters;
  const seen = new Set<string>();
  const votes: NodeVote[] = masters.names.map((node) => ({
    node,
    vote: "pending",
    cause: undefined,
  }));
  let complete = 0;
  for (const [node, port] of ports.entries()) {
    try {
      for (const of of ["wait lists", "locks", "slots"] as const) {
        let cursor: string | undefined = SCAN_START;
        while (cursor !== undefined) {
          const scanning: Scanning = { names, pattern, of, cursor };
          const { reply } = await askNode(port, scanOperation, scanning);
          cursor = reply.cursor;
          const fresh = reply.keys.filter(({ key }) => seen.size < seen.add(key).size);
          if (fresh.length > 0) yield fresh;
        }
      }
      complete += 1;
      votes[node] = { node: port.name, vote: "free", cause: undefined };
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      votes[node] = { node: port.name, vote: error.failure, cause: error.message };
    }
  }
  const needed = ports.length - quorum + 1;
  if (complete >= needed) return;
  const refusals = votes.filter(isRefusal);
  if (complete + refusals.length >= needed) refuseScan(refusals);
  throw new LockUnavailableError({ keys: [pattern], votes, quorum, nodeTimeout });
}

/** Whether a master answers, but does not permit its user to scan its keys. */
function isRefusal({ vote, cause = "" }: NodeVote): boolean {
  return vote === "refused" && isForbidden(cause);
}

function refuseScan(refusals: readonly NodeVote[]): never {
  const [{ cause } = { cause: "" }] = refusals;
  return refuseValue(
    "nodes",
    `a user that may not scan the keys of ${refusals.map(({ node }) => node).join(", ")} (${cause})`,
    "a user with the permission to SCAN, see Permissions in docs/ready.md; locks work without it",
  );
}
