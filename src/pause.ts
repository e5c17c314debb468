import type { Clock } from "./clock.ts";
import { onAbort } from "./on-abort.ts";

/** Lets time pass, until a signal aborts. */
export function pause(clock: Clock, ms: number, ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.timer(ms, () => {
      forget();
      resolve();
    });
    const forget = onAbort(ended, () => {
      clock.clearTimer(timer);
      resolve();
    });
  });
}
