import type { Holder } from "../errors.ts";
import type { Engine } from "./engine.ts";
import { slotNames } from "../lock/slots.ts";
import { inspectToAct, waiterAt, type WaiterInspection } from "./inspect.ts";

/** What `wake` found, and did. */
export interface WakeResult {
  key: string;
  /**
   * - `"held"`: the key is taken; the release wakes the first waiter.
   * - `"woken"`: the key was free; it is reserved for `waiter` now, which was sent its wake-up.
   * - `"reserved"`: the key was free and reserved for `waiter` already.
   * - `"free"`: the key is free, and no waiter can be woken.
   */
  outcome: "held" | "woken" | "reserved" | "free";
  /** The holder that a quorum names. */
  holder: Holder | undefined;
  /** The waiter that has the reservation. */
  waiter: Omit<WaiterInspection, "priority"> | undefined;
  /** How long the lock or an earlier reservation still lasts, in milliseconds; `undefined` when it has no end. */
  expiresIn: number | undefined;
  /** How many wait for the key. */
  waiting: number;
}

/**
 * Checks the wait list of a key now, as processes do when a key is due.
 * @throws {LockUnavailableError} when no quorum answers, or can vote.
 */
export async function wakeKey({ context, waitLists }: Engine, key: string): Promise<WakeResult> {
  for (;;) {
    // Throws when too few masters answer or can vote. It also names the holder, which the check does not.
    const { holder, limit, slots = [] } = await inspectToAct(context, key);
    const taken = new Set(slots.flatMap(({ slot, locked }) => (locked ? slot : [])));
    // Of a key with a limit, a slot that is free.
    const free = slotNames(key, limit).find((_, slot) => !taken.has(slot)) ?? key;
    const decision = await waitLists.checkKey(free);
    if (decision.kind === "unknown" || decision.kind === "contested") continue;
    const { kind, waiting } = decision;
    const result = { key, holder: undefined, waiter: undefined, expiresIn: undefined, waiting };
    if (kind === "free") return { ...result, outcome: kind };
    if (kind === "next")
      return { ...result, outcome: "woken", waiter: waiterAt(decision.head.position) };
    const expiresIn = decision.expiresIn < 0 ? undefined : decision.expiresIn;
    if (kind === "held") return { ...result, outcome: kind, holder, expiresIn };
    return { ...result, outcome: kind, waiter: waiterAt(decision.position), expiresIn };
  }
}
