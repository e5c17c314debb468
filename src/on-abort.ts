import { Cancellation } from "./cancellation.ts";

/** What ends an undertaking: a user's signal, or one of our own. */
export type AbortSource = AbortSignal | Cancellation;

interface Fan {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

const fans = new WeakMap<AbortSignal, Fan>();

/**
 * Calls `callback` once when the signal aborts, at once if it has, until the returned function is called.
 *
 * However many callbacks a signal has here, it has one listener: a signal that many waiters share would else bring
 * Node's warning of a leak.
 */
export function onAbort(signal: AbortSource, callback: () => void): () => void {
  if (signal.aborted) {
    callback();
    return () => {};
  }
  // Of its own, so that a callback given twice is two.
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
 * Waits for `work`, but not beyond the abort of one of the signals: what the work then still comes to goes to `late`.
 * @throws the reason of the signal.
 */
export function unlessAborted<T>(
  work: Promise<T>,
  signals: readonly AbortSource[],
  late: (value: T) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let aborted = false;
    const forgets = signals.map((signal) =>
      onAbort(signal, () => {
        aborted = true;
        reject(signal.reason);
      }),
    );
    const forget = (): void => forgets.forEach((each) => each());
    work.then(
      (value) => {
        forget();
        if (aborted) late(value);
        else resolve(value);
      },
      (error: unknown) => {
        forget();
        reject(error);
      },
    );
  });
}
