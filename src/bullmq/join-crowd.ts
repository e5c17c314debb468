import type { LockConflictError } from "../errors.ts";
import type { Activation } from "./activation.ts";

/**
 * Puts a fresh job into the wait list of its key, as if it were parked, when many jobs wait for that: asking for the key would only
 * show it held. It joins before it is moved to the delayed set, so that a process that dies in between leaves no parked job
 * that is in no wait list.
 * @returns the conflict, after which the job is to be parked; `undefined` when it has to ask for its key.
 */
export function joinCrowd(
  activation: Activation,
): Promise<LockConflictError | undefined> | undefined {
  const { settings, job, waiter, keys, limits, startableFor } = activation;
  const { engine, ttl, onConflict, order, retryOrder } = settings;
  const [key = ""] = keys;
  const isParked = onConflict === "delay" && order !== "strict" && retryOrder !== "keep";
  if (!isParked || keys.length !== 1 || !engine.waitLists.isCrowded(key)) return undefined;
  // A later run of a job may have a reservation.
  if (waiter === undefined || job.attemptsStarted !== 1 || startableFor === 0) return undefined;
  const at = engine.clock.now();
  return engine.joinCrowd({ job, waiter }, key, limits, ttl).then((conflict) => {
    if (conflict !== undefined) activation.joinedAt = at;
    return conflict;
  });
}
