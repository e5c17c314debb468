import type { Holder } from "../errors.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { inspectKey, type KeyReservation } from "./inspect.ts";
import { nodesOf } from "./inspect-slots.ts";
import { walkPositions } from "./read-key.ts";

/** A key that a job waits for. */
export interface AwaitedKey {
  key: string;
  /** The holder that a quorum names, the oldest one of several. */
  holder: Holder | undefined;
  /** All holders that a quorum names, the oldest first: with a limit there may be several, each with its `slot`. */
  holders: Holder[];
  /** The waiter for which the free key is kept; `undefined` when there is none. */
  reserved: KeyReservation | undefined;
  /** Milliseconds until the lock of `holder` expires unless it is extended, by the master that keeps it longest. */
  expiresIn: number | undefined;
  /** The position of the job in the wait list, from 1. */
  position: number;
  /** How many wait for the key, the job included. */
  waiting: number;
}

/**
 * Finds the keys in whose wait lists a job is.
 * @param isOfJob whether a position is that of the job.
 * @throws {LockUnavailableError} when no quorum answers.
 */
export async function findAwaitedKeys(
  context: LockContext,
  isOfJob: (position: string) => boolean,
  keys: readonly string[],
): Promise<AwaitedKey[]> {
  const found = keys.map(async (key): Promise<AwaitedKey[]> => {
    const inspection = await inspectKey(context, key);
    const { holder, holders, reserved, waiting } = inspection;
    let before = 0;
    for await (const waiter of walkPositions(context, key)) {
      before += 1;
      if (!isOfJob(waiter.position)) continue;
      const ends = holder && nodesOf(inspection, holder).flatMap((node) => node.expiresIn ?? []);
      const expiresIn = ends && Math.max(...ends);
      const counts = { position: before, waiting: Math.max(before, waiting) };
      return [{ key, holder, holders, reserved, expiresIn, ...counts }];
    }
    return [];
  });
  return (await Promise.all(found)).flat();
}
