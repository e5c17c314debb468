import { refuseUnknownOptions, refuseValue, requireObject, requireText } from "../check-options.ts";
import { type Holder } from "../errors.ts";
import { hostName } from "../host-name.ts";
import { normaliseKey } from "../keys/normalise.ts";
import { printable } from "../printable.ts";
import { surveyKey } from "./inspect.ts";
import { liveWaiter } from "../waiters/waiter.ts";
import type { Engine } from "./engine.ts";
import type { HeldLock } from "./held-lock.ts";

/** Options of a hold. */
export interface HoldOptions {
  /** How long to wait for the present holder, in whole milliseconds. @defaultValue 0 */
  waitTimeout?: number;
  /** Ends the wait; the hold then throws the signal's reason. */
  signal?: AbortSignal;
}

const KNOWN = Object.keys({
  waitTimeout: true,
  signal: true,
} satisfies Record<keyof HoldOptions, true>);

/** Before all jobs: their smallest priority is 0. */
const HOLD_PRIORITY = -1;

const HOLD = /^an operator on [^()]+ \(hold\): /;

/** Whether the holder is an operator that pauses the key: no work runs under the lock. */
export function isHold(holder: Holder | undefined): boolean {
  return HOLD.test(holder?.text ?? "");
}

/** Returns a reason that people can read. @throws {LockConfigError} when there is none. */
export function checkReason(reason: unknown, path = "reason"): string {
  const expected = "a reason for people, such as a migration";
  requireText(path, reason, expected);
  if (reason.trim() === "") {
    refuseValue(path, "an empty text", expected);
  }
  return printable(reason.trim());
}

/**
 * Acquires a key to pause it, before all other waiters.
 * @throws {LockConfigError} for a key that clients use with a limit, as far as the masters know.
 */
export async function holdKey(
  engine: Engine,
  key: string,
  reason: string,
  options: HoldOptions,
): Promise<HeldLock> {
  const { context, clock, random, waitLists } = engine;
  requireObject("options", options, "an object of options");
  refuseUnknownOptions("", options, KNOWN);
  const holder = `an operator on ${hostName()} (hold): ${checkReason(reason)}`;
  const { limit } = await surveyKey(context, normaliseKey(key));
  if (limit > 1) {
    refuseValue(
      "key",
      `a key with a limit of ${limit}`,
      "a key without a limit: a hold takes one slot, and jobs would run in the others",
    );
  }
  const live = liveWaiter(clock.wall(), context.process, random.owner(), holder);
  const waiter = { ...live, priority: HOLD_PRIORITY };
  try {
    return await engine.acquire(key, { ...options, holder }, false, { waiter });
  } catch (error) {
    // A waiter that is given outlives its acquisition; this one does not.
    await waitLists.leave(waiter, [normaliseKey(key)]);
    throw error;
  }
}
