import type { LockContext } from "../lock/lock-context.ts";
import type { StoredWaiter } from "../lock/wait-list-hooks.ts";

/** Milliseconds after which a subscription is in force: what was said before it was is looked up. */
export const SUBSCRIBING = 100;

/** Calls that are remembered: what comes later than so many others is news, or nothing. */
const REMEMBERED = 1_000;

/**
 * Hears of the turns of waiters that this process has parked, or that wait in it. The listener is called when a quorum of
 * masters has named the same waiter under the same token. Best effort: what is not heard is found when the key is due.
 */
export function listen(
  { masters, names, process }: LockContext,
  listener: (key: string, waiter: StoredWaiter) => void,
): () => void {
  const heard = new Map<string, Set<number>>();
  const stops = masters.ports.map((port, node) =>
    port.subscribe(names.wake(process), (message) => {
      const call = parseCall(message);
      if (call === undefined) return;
      const nodes = heard.get(message) ?? new Set();
      heard.set(message, nodes.add(node));
      const [oldest] = heard.keys();
      if (heard.size > REMEMBERED && oldest !== undefined) heard.delete(oldest);
      if (nodes.size === masters.quorum) listener(call.key, call.waiter);
    }),
  );
  return () => {
    for (const stop of stops) stop();
  };
}

function parseCall(message: string): { key: string; waiter: StoredWaiter } | undefined {
  try {
    const [key, , position, record] = JSON.parse(message) as unknown[];
    return {
      key: String(key),
      waiter: { position: String(position), record: String(record), priority: 0 },
    };
  } catch {
    return undefined;
  }
}
