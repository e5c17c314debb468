import type { LockContext } from "../lock/context.ts";
import type { Waiter } from "../lock/lining.ts";

/** Milliseconds after which a subscription is in force: what was said before it was is looked up. */
export const SUBSCRIBING = 100;

/** Calls that are remembered: what comes later than so many others is news, or nothing. */
const REMEMBERED = 8;

/**
 * Hears whose turn it is at a key. The listener is called when a quorum of masters has named the same waiter under the same
 * token. Best effort: who hears nothing looks by itself.
 */
export function listen(
  { masters, names }: LockContext,
  key: string,
  listener: (waiter: Waiter) => void,
): () => void {
  const heard = new Map<string, Set<number>>();
  const stops = masters.ports.map((port, node) =>
    port.subscribe(names.called(key), (message) => {
      const [, , detail = "", place = ""] = /^(\d+):([^:]*):([^]+)$/.exec(message) ?? [];
      if (place === "") return;
      const nodes = heard.get(message) ?? new Set();
      heard.set(message, nodes.add(node));
      const [oldest] = heard.keys();
      if (heard.size > REMEMBERED && oldest !== undefined) heard.delete(oldest);
      if (nodes.size === masters.quorum) listener({ place, detail, priority: 0 });
    }),
  );
  return () => {
    for (const stop of stops) stop();
  };
}
