import { refuseValue, requireObject } from "../check-options.ts";
import type { Job } from "bullmq";
import type { Lock } from "../lock/lock.ts";
import type { WithLockOptions } from "../bullmq/options.ts";
import { type LockingProcessor, withLock } from "../bullmq/with-lock.ts";
import type { Locks } from "../config/index.ts";
import type { Redlock } from "../redlock/redlock.ts";

/** The token of {@link Wrap}; Nest shows its name when the module is missing. */
export const WRAP = Symbol("RedlockModule");

/** Makes a locked processor by these options, or by the rules when there are none. */
export type Wrap = (
  options: Omit<WithLockOptions, "redlock"> | undefined,
  processor: (job: Job, jobToken: string, signal: AbortSignal, lock: Lock) => Promise<unknown>,
) => LockingProcessor;

/** What a module makes of its options; `wrap` uses its rules. */
export type Made = Pick<Locks, "redlock"> & Partial<Pick<Locks, "wrap">>;

/**
 * Makes the {@link Wrap} of a module.
 * @throws {LockConfigError} when a test replaced the `Redlock` of the rules: they would still use their own.
 */
export function makeWrap(redlock: Redlock, made: Made): Wrap {
  if (made.wrap !== undefined && made.redlock !== redlock) {
    refuseValue(
      "Redlock",
      "a Redlock other than that of the rules",
      "its options beside the rules, in RedlockModule.forRoot",
    );
  }
  return (options, processor) => {
    if (options !== undefined) {
      requireObject("options", options, "an object of options");
      if ("redlock" in options) {
        refuseValue("redlock", "an option of @WithLock()", "that of the RedlockModule alone");
      }
      return withLock({ ...options, redlock }, processor);
    }
    if (made.wrap !== undefined) return made.wrap(processor);
    return refuseValue(
      "rules",
      "none in RedlockModule",
      "rules that say what @WithLock() without options locks",
    );
  };
}
