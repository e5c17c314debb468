import type { Waiter } from "../waiters/waiter.ts";
import { after } from "../pause.ts";
import type { Activation } from "./activation.ts";
import { type DelayRequest, delayJob } from "./delay-job.ts";

/** Milliseconds after which the worker has done with an activation, and the job may be taken up again. */
const SETTLING = 5;

/** Milliseconds until a job joins again that too few masters have heard of. */
const REJOINING = 1_000;

/** How a job is parked. */
export interface Parked extends Omit<DelayRequest, "reason"> {
  /** How often the job has been put aside before. */
  readonly tries: number;
}

/**
 * Puts a job aside, and in line for its keys: it is woken when it is its turn.
 *
 * It has a place since the conflict, but cannot be woken as long as it is active: when it is out of its slot it joins again,
 * and the answers of the masters show what has happened to its keys meanwhile.
 * @returns the error to throw, by which BullMQ knows that the job is no longer the worker's business.
 */
export async function parkJob(activation: Activation, parked: Parked): Promise<Error> {
  const { settings, waiter, closing } = activation;
  const { redlock } = settings;
  const { moved, error } = await delayJob(activation, { ...parked, reason: "conflict" });
  if (!moved || waiter === undefined) return error;
  const entering = enter(activation, waiter, parked, redlock.clock.now() + parked.delay);
  // The slot is free: whatever the masters say to it now is no longer its business. But a worker that closes takes the
  // connection with it by which the job is called.
  if (closing.aborted) await entering;
  else redlock.finish(entering);
  return error;
}

/** Joins the lines, again and again until a quorum has heard of it, or the job has come back by itself. */
async function enter(
  activation: Activation,
  waiter: Waiter,
  parked: Parked,
  until: number,
): Promise<void> {
  const { settings, closing } = activation;
  const { clock, waitLists, ttls } = settings.redlock;
  const { keys, tries } = parked;
  const keptFor = 2 * (settings.lock.ttl ?? ttls.usual);
  const joined = await waitLists.join(waiter, keys, { state: "parked", tries, keptFor });
  if (!joined.answered && !closing.aborted && clock.now() + REJOINING < until) {
    const again = (): void => void enter(activation, waiter, parked, until);
    after(clock, REJOINING, closing, again);
  }
  if (joined.quiet && joined.replaced.length === 0) return;
  const call = async (): Promise<void> => {
    await Promise.all([
      waitLists.dismiss(joined.replaced),
      joined.quiet ? undefined : waitLists.check(keys),
    ]);
  };
  if (closing.aborted) await call();
  else after(clock, SETTLING, closing, () => void call());
}
