import type { Holder } from "../errors.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { NodeError } from "../redis/node-error.ts";
import { FIND_STEP, findOperation, type FoundKey } from "../waiters/find-operation.ts";
import { inspectKey } from "./inspect.ts";
import { requireQuorum } from "./read-key.ts";

/** A key that a job waits for. */
export interface AwaitedKey {
  key: string;
  /** The holder that a quorum names. */
  holder: Holder | undefined;
  /** Milliseconds until the holder's lock expires unless it is extended, by the master that keeps it longest. */
  expiresIn: number | undefined;
  /** The position of the job in the wait list, from 1. */
  position: number;
  /** How many wait for the key, the job included. */
  waiting: number;
  /** Whether the key is free, and reserved for the job. */
  reserved: boolean;
}

/**
 * Finds the keys in whose wait lists a position is, by the masters that know most of their waiters.
 * @throws {LockUnavailableError} when no quorum answers.
 */
export async function findAwaitedKeys(
  context: LockContext,
  position: string,
): Promise<AwaitedKey[]> {
  const { masters, names } = context;
  const found = new Map<string, FoundKey>();
  for (let from = 0, isLast = false; !isLast; from += FIND_STEP) {
    const replies = await masters.gatherAll(findOperation, { names, position, from });
    requireQuorum(context, [], replies);
    isLast = true;
    for (const reply of replies) {
      if (reply instanceof NodeError) continue;
      isLast &&= reply.isLast;
      for (const each of reply.keys) {
        const known = found.get(each.key);
        if (known === undefined || each.waiting > known.waiting) found.set(each.key, each);
      }
    }
  }
  return await Promise.all(
    [...found.values()].map(async ({ key, ahead, waiting, reserved }): Promise<AwaitedKey> => {
      const { holder, nodes } = await inspectKey(context, key);
      const ends = nodes.flatMap(({ expiresIn }) => expiresIn ?? []);
      const expiresIn = holder === undefined ? undefined : Math.max(...ends);
      return { key, holder, expiresIn, position: ahead + 1, waiting, reserved };
    }),
  );
}
