import type { Clock, Timer } from "./clock.ts";
import { onAbort } from "./on-abort.ts";

/** Calls `run` after `ms`, or in the same tick in which `ended` aborts before. */
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

/** Waits `ms`, or until a signal aborts. */
export function pause(clock: Clock, ms: number, ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    after(clock, ms, ended, resolve);
  });
}

/** Waits for a promise, for `ms` at most. */
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
