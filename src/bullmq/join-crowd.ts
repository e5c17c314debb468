import type { LockConflictError } from "../errors.ts";
import type { Activation } from "./activation.ts";
import { joinsUnasked } from "./park-crowd.ts";

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
  const { engine, ttl } = settings;
  // A later run of a job may have a reservation.
  if (waiter === undefined || job.attemptsStarted !== 1 || startableFor === 0) return undefined;
  if (!joinsUnasked(settings, keys)) return undefined;
  const [key = ""] = keys;
  const at = engine.clock.now();
  return engine.joinCrowd({ job, waiter }, key, limits, ttl).then((conflict) => {
    if (conflict === undefined) return undefined;
    activation.joinedAt = at;
    const { context, locks, closing } = activation;
    context.crowd.start({ engine, locks, job, queueId: waiter.queueId, closing });
    return conflict;
  });
}
