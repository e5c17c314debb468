import { checkNumber, refuseUnknownOptions, requireObject } from "../check-options.ts";
import type { Holder } from "../errors.ts";
import { LARGEST_LIMIT } from "../keys/normalise.ts";
import { positionOf } from "../waiters/waiter.ts";
import type { Engine } from "./engine.ts";
import { checkReason } from "./hold.ts";
import { inspectKey, inspectToAct } from "./inspect.ts";

/** A holder gives way to later positions only: an operator's request counts as the latest. */
const LATEST_POSITION = positionOf(Infinity, "~operator", "");

/** Which holders to ask. */
export interface CancelOptions {
  /** Of a key with a limit: the slot of the holder that is asked, from 0. @defaultValue all holders */
  slot?: number | undefined;
}

/**
 * Asks the holders of a key to stop.
 * @returns the holders that were asked.
 * @throws {LockConfigError} for no reason, or a wrong option; {@link LockUnavailableError} when no quorum answers, or can vote.
 */
export async function cancelHolders(
  { context, cancelRequests }: Engine,
  key: string,
  by: string,
  options: CancelOptions,
): Promise<Holder[]> {
  const reason = checkReason(by, "by");
  requireObject("options", options, "an object of options");
  refuseUnknownOptions("", options, ["slot"]);
  const { slot } = options;
  const bounds = { min: 0, max: LARGEST_LIMIT - 1, unit: "a whole number" };
  if (slot !== undefined) checkNumber("slot", slot, bounds);
  const { holders } = await inspectToAct(context, key);
  const asked = holders.filter((holder) => {
    const isMeant = slot === undefined || slot === (holder.slot ?? 0);
    // Another program cannot be asked.
    return isMeant && holder.fencingToken !== undefined;
  });
  for (const holder of asked) cancelRequests.ask({ key, holder }, LATEST_POSITION, reason);
  // Masters answer in order: after this answer, they have the requests.
  if (asked.length > 0) await inspectKey(context, key);
  return asked;
}
