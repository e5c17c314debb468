import { LockConfigError, LockKeyError, LockUnavailableError, type NodeVote } from "../errors.ts";
import { SCAN_START, scanOperation, type ScanCursors } from "../lock/read-operation.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { isForbidden, NodeError } from "../redis/node-error.ts";
import { askNode } from "../redis/node-port.ts";
import { inspectKey, type KeyInspection } from "./inspect.ts";
import { describeValue } from "../sentences.ts";

/**
 * Iterates over all keys that a quorum of masters holds, and the free ones with waiters.
 *
 * A key that a quorum holds, or whose wait list a quorum knows, is on one of any N - Q + 1 masters: that many must be
 * scanned, the others may be down.
 */
export async function* listLocks(
  context: LockContext,
  pattern: string,
): AsyncGenerator<KeyInspection, void, void> {
  if (typeof pattern !== "string" || pattern === "") {
    throw new LockKeyError({
      message: `pattern: found ${describeValue(pattern)}, expected a glob such as "account:*"`,
    });
  }
  const { masters, names, nodeTimeout } = context;
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
      let cursors: ScanCursors = SCAN_START;
      while (cursors.locks !== undefined || cursors.waitLists !== undefined) {
        const { reply } = await askNode(port, scanOperation, {
          names,
          pattern,
          cursors,
        });
        cursors = reply.cursors;
        const fresh = [...new Set(reply.keys)].filter((key) => !seen.has(key));
        for (const key of fresh) seen.add(key);
        // In parallel, so that a master that hangs is waited for once in each step, not for each key.
        const inspections = await Promise.all(
          fresh.map(async (key) => await inspectKey(context, key)),
        );
        for (const inspection of inspections) {
          if (inspection.locked || inspection.waiting > 0) yield inspection;
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
  if (complete + refusals.length >= needed) throw permissionError(refusals);
  throw new LockUnavailableError({ keys: [pattern], votes, quorum, nodeTimeout });
}

/** Whether a master answers, but does not permit its user to scan its keys. */
function isRefusal({ vote, cause = "" }: NodeVote): boolean {
  return vote === "refused" && isForbidden(cause);
}

function permissionError(refusals: readonly NodeVote[]): LockConfigError {
  const [{ cause } = { cause: "" }] = refusals;
  return new LockConfigError({
    path: "nodes",
    found: `a user that may not scan the keys of ${refusals.map(({ node }) => node).join(", ")} (${cause})`,
    expected:
      "a user with the permission to SCAN, see Permissions in docs/ready.md; locks work without it",
  });
}
