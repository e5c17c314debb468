import { Cancellation } from "./cancellation.ts";

/** What can abort a task: a signal of the user, or one of our own. */
export type AbortSource = AbortSignal | Cancellation;

interface Fan {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

const fans = new WeakMap<AbortSignal, Fan>();

/**
 * Calls `callback` once when the signal aborts, at once if it has, until the returned function is called.
 *
 * A signal has one listener for all callbacks: otherwise a signal that many waiters share would cause Node's warning of a leak.
 */
export function onAbort(signal: AbortSource, callback: () => void): () => void {
  if (signal.aborted) {
    callback();
    return () => {};
  }
  // A new function, so that the same callback can be given twice.
  const entry = (): void => callback();
  if (signal instanceof Cancellation) return signal.listen(entry);
  const fan = fans.get(signal) ?? openFan(signal);
  fan.callbacks.add(entry);
  return () => {
    if (!fan.callbacks.delete(entry) || fan.callbacks.size > 0) return;
    signal.removeEventListener("abort", fan.listener);
    if (fans.get(signal) === fan) fans.delete(signal);
  };
}

function openFan(signal: AbortSignal): Fan {
  const callbacks = new Set<() => void>();
  const fan: Fan = {
    callbacks,
    listener: () => {
      fans.delete(signal);
      const called = [...callbacks];
      callbacks.clear();
      for (const callback of called) callback();
    },
  };
  fans.set(signal, fan);
  signal.addEventListener("abort", fan.listener, { once: true });
  return fan;
}

/** @throws the reason of the first of the signals that has aborted. */
export function throwIfAborted(signals: readonly AbortSource[]): void {
  for (const signal of signals) if (signal.aborted) throw signal.reason;
}

/**
 * Waits for `work`, or until the signal aborts. The result of aborted work goes to `late`.
 * @throws the reason of the signal.
 */
export function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
  late: (value: T) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const forget = onAbort(signal, () => reject(signal.reason));
    work
      .then(
        (value) => {
          forget();
          if (signal.aborted) late(value);
          return value;
        },
        (error: unknown) => {
          forget();
          throw error;
        },
      )
      // Not by closures: V8 finds the caller that waits by the functions of its promise alone.
      .then(resolve, reject);
  });
}
