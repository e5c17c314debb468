import type { Clock } from "../clock.ts";
import type { Masters } from "../lock/masters.ts";
import type { Names } from "../lock/stored.ts";
import { onAbort } from "../on-abort.ts";

/** Attention to one key: it remembers what happened while nobody was waiting. */
export interface Watch {
  readonly key: string;
  /** Forgets what was heard so far; to be called right before an attempt. */
  reset(): void;
  /** Resolves when a quorum of masters has said that the key was given back, after `ms`, or when a signal aborts. */
  freed(ms: number, signals: readonly AbortSignal[]): Promise<void>;
  close(): void;
}

/** Watches a key on all masters. Messages only hasten a waiter; who hears none looks by itself after `ms`. */
export function watchKey(masters: Masters, names: Names, clock: Clock, key: string): Watch {
  // A master speaks of the same release with the same token; a quorum of them is as much as a grant needs.
  const heard = new Map<string, Set<number>>();
  let freed = false;
  let wake = sleepOn;
  const unsubscribe = masters.ports.map((port, node) =>
    port.subscribe(names.freed(key), (token) => {
      const nodes = heard.get(token) ?? new Set();
      heard.set(token, nodes.add(node));
      if (nodes.size < masters.quorum) return;
      freed = true;
      wake();
    }),
  );
  return {
    key,
    reset: () => {
      heard.clear();
      freed = false;
    },
    freed: async (ms, signals) => {
      if (freed || signals.some(({ aborted }) => aborted)) return;
      await new Promise<void>((resolve) => {
        const timer = clock.timer(ms, () => wake());
        wake = () => {
          wake = sleepOn;
          clock.clearTimer(timer);
          for (const forget of forgets) forget();
          resolve();
        };
        const forgets = signals.map((signal) => onAbort(signal, () => wake()));
      });
    },
    close: () => {
      for (const stop of unsubscribe) stop();
    },
  };
}

/** Nobody waits. */
function sleepOn(): void {}
