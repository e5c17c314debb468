import type { Clock, Timer } from "./clock.ts";
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

/** Waits for something, for `ms` at most. */
export async function within(clock: Clock, promise: Promise<unknown>, ms: number): Promise<void> {
  let timer: Timer | undefined;
  await Promise.race([
    promise,
    new Promise<void>((resolve) => {
      timer = clock.timer(ms, resolve);
    }),
  ]);
  clock.clearTimer(timer);
}
