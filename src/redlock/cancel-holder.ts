import type { Holder } from "../errors.ts";
import { printable } from "../printable.ts";
import { positionOf } from "../waiters/waiter.ts";
import type { Engine } from "./engine.ts";
import { inspectKey } from "./inspect.ts";

/** A holder gives way to later positions only: an operator's request counts as the latest. */
const LATEST_POSITION = positionOf(Infinity, "~operator", "");

/**
 * Asks the holder of a key to stop.
 * @returns the holder that was asked.
 * @throws {LockUnavailableError} when no quorum answers.
 */
export async function cancelHolder(
  { context, cancelRequests }: Engine,
  key: string,
  by: string,
): Promise<Holder | undefined> {
  const { holder } = await inspectKey(context, key);
  if (holder?.fencingToken === undefined) return undefined;
  cancelRequests.ask({ key, holder }, LATEST_POSITION, printable(by));
  // Masters answer in order: after this answer, they have the request.
  await inspectKey(context, key);
  return holder;
}
