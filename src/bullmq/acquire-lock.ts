import { LockKeyError } from "../errors.ts";
import { within } from "../pause.ts";
import type { InternalLock } from "../redlock/internal-lock.ts";
import type { Activation } from "./activation.ts";
import { unrecoverableError } from "./control-errors.ts";
import { describeAsHolder } from "./holder.ts";
import { refuseOwnKeys, UnheldLock } from "./job-lock.ts";
import { readWait, timesDelayed } from "./job-wait.ts";
import { joinCrowd } from "./join-crowd.ts";
import { mayPark } from "./conflict-effects.ts";
import { strictWithLimit } from "./lock-settings.ts";
import { afterRefusal, KeyRequest } from "./on-conflict.ts";
import { endOld, parkOrDelay, type Skipped } from "./refused-job.ts";

/** Most milliseconds that a job with a lock waits for the time at which its wait began. */
const LONGEST_READ = 500;

/** Asks for the keys of the job, as often as its policies say. */
export async function acquireLock(activation: Activation): Promise<InternalLock | Skipped> {
  const { context, settings, job, waiter } = activation;
  try {
    const found = settings.keysOf(job);
    if (found === null) return new UnheldLock();
    const { keys, limits } = found;
    refuseOwnKeys(job, keys, settings.engine);
    activation.keys = keys;
    activation.limits = limits;
    let request = new KeyRequest(waiter);
    if (settings.order === "strict" && limits !== undefined) {
      throw unrecoverableError(strictWithLimit());
    }
    if (settings.order === "strict" && waiter !== undefined) {
      const behind = await context.activeJobs.predecessorsOf(job, settings, keys, waiter);
      request = new KeyRequest({ ...waiter, behind });
    }
    const joining = joinCrowd(activation);
    const conflict = joining && (await joining);
    if (conflict !== undefined) return await parkOrDelay(activation, waiter, conflict);
    for (;;) {
      if (activation.startableFor === 0) return await endOld(activation);
      try {
        const lock = await acquireOnce(activation, request);
        if (activation.startableFor > 0) return lock;
        await lock.release();
      } catch (error) {
        const next = await afterRefusal(activation, request, error);
        if (!(next instanceof KeyRequest)) return next;
        request = next;
      }
    }
  } catch (error) {
    // The same data gives the same key: no retry helps.
    throw error instanceof LockKeyError ? unrecoverableError(error) : error;
  }
}

async function acquireOnce(
  { settings, job, keys, limits, cancel, renewal, closing, context }: Activation,
  { waiter, waitTimeout, conflict }: KeyRequest,
): Promise<InternalLock> {
  const { engine, onConflict } = settings;
  const options = { ...settings.lock, holder: describeAsHolder(job), waitTimeout };
  const wasDelayed = timesDelayed(job) > 0;
  // Beside the acquisition, and only for an event that has a listener.
  const since =
    wasDelayed && engine.events.hears("acquired")
      ? readWait(job).then(
          ({ waitingSince }) => waitingSince,
          () => undefined,
        )
      : undefined;
  const wanted =
    limits === undefined ? keys : keys.map((key, i) => ({ key, limit: limits[i] ?? 1 }));
  const inSlot =
    conflict === undefined || waiter === undefined ? undefined : context.slots.wait(waiter);
  const stops = conflict === undefined ? [] : [closing, ...(inSlot ? [inSlot.signal] : [])];
  const acquiring = engine.acquire(wanted, options, true, {
    job,
    ...(since === undefined ? {} : { waitingSince: since }),
    ...(waiter === undefined ? {} : { waiter }),
    listed: wasDelayed,
    // The job joins at the conflict itself: no later job comes before it, and none takes the key from a holder that it asks to stop.
    joins: onConflict === "cancelInProgress" ? "replacing" : mayPark(onConflict),
    cancel,
    stops: [renewal.lost, ...stops],
  });
  const lock = await acquiring.finally(() => inSlot?.end());
  if (renewal.isOverdue && !(await renewal.renew())) {
    await lock.release();
    throw renewal.lost.reason;
  }
  if (since !== undefined) await within(engine.clock, since, LONGEST_READ);
  return lock;
}
