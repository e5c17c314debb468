import type { Clock, Timer } from "./clock.ts";
import { onAbort } from "./on-abort.ts";

/** Calls `run` after `ms`, or in the very tick in which `ended` aborts before. */
export function after(clock: Clock, ms: number, ended: AbortSignal, run: () => void): void {
  const timer = clock.timer(ms, () => {
    forget();
    run();
  });
  const forget = onAbort(ended, () => {
    clock.clearTimer(timer);
    run();
  });
}

/** Lets time pass, until a signal aborts. */
export function pause(clock: Clock, ms: number, ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    after(clock, ms, ended, resolve);
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
