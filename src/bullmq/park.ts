import type { Clock } from "../clock.ts";
import { onAbort } from "../on-abort.ts";
import type { Activation } from "./activation.ts";
import { type Parking, putAside } from "./put-aside.ts";

/** Milliseconds after which the worker has done with an activation, and the job may be taken up again. */
const SETTLING = 5;

/** How a job is parked. */
export interface Parked extends Omit<Parking, "reason"> {
  /** How often the job has been put aside before. */
  readonly tries: number;
}

/**
 * Puts a job aside, and in line for its keys: it is woken when it is its turn.
 *
 * It joins the line when it is out of its slot, and not before: who is called while it is still active cannot be woken, and
 * would be left waiting. What happened to its keys between the conflict and the joining shows in the answers of the masters.
 * @returns the error to throw, by which BullMQ knows that the job is no longer the worker's business.
 */
export async function park(activation: Activation, parked: Parked): Promise<Error> {
  const { settings, standing, closing } = activation;
  const { clock, line } = settings.redlock;
  const { keys, tries } = parked;
  const { moved, error } = await putAside(activation, { ...parked, reason: "conflict" });
  if (!moved || standing === undefined) return error;
  const keptFor = 2 * (settings.lock.ttl ?? settings.redlock.ttls.usual);
  const joined = await line.join(standing, keys, { living: false, tries, keptFor });
  const call = async (): Promise<void> => {
    await Promise.all([
      line.dismiss(joined.replaced),
      joined.quiet ? undefined : line.look(keys),
    ]);
  };
  if (joined.quiet && joined.replaced.length === 0) return error;
  if (closing.aborted) await call();
  else soon(call, clock, closing);
  return error;
}

/** Calls `run` in a moment, at once when `closing` aborts. */
function soon(run: () => Promise<void>, clock: Clock, closing: AbortSignal): void {
  const timer = clock.timer(SETTLING, () => {
    forget();
    void run();
  });
  const forget = onAbort(closing, () => {
    clock.clearTimer(timer);
    void run();
  });
}
