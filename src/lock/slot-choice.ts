import type { Random } from "../random.ts";
import { RecentMap } from "../recent-map.ts";
import { keyOfSlot, numberOfSlot } from "./slots.ts";

/** Chooses the slots to ask for first. */
export class SlotChoice {
  readonly #random: Random;
  /** The slots that this process holds, by key. */
  readonly #held = new Map<string, Set<number>>();
  /**
   * The slots that are reserved for waiters that this process has woken, by key and position. The
   * job of an older one runs elsewhere.
   */
  readonly #reserved = new RecentMap<string, number>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** The slot that is reserved for the waiter, if this process knows it, or one that this process does not hold. */
  choose(key: string, limit: number, position: string): number {
    if (limit === 1) return 0;
    const id = `${position} ${key}`;
    const reserved = this.#reserved.get(id);
    if (reserved !== undefined) {
      this.#reserved.delete(id);
      if (reserved < limit) return reserved;
    }
    const held = this.#held.get(key);
    const others = Array.from({ length: limit }, (_, slot) => slot).filter(
      (slot) => held?.has(slot) !== true,
    );
    return this.oneOf(others) ?? 0;
  }

  /** One of several slots at random: contenders spread over them. */
  oneOf(slots: readonly number[]): number | undefined {
    return slots[Math.floor(this.#random.fraction() * slots.length)];
  }

  /** A slot is reserved for a waiter that this process wakes. */
  reserved(
    name: string,
    { position, record }: { readonly position: string; readonly record: string },
  ): void {
    if (!record.includes("/") && numberOfSlot(name) === 0) return;
    this.#reserved.set(`${position} ${keyOfSlot(name)}`, numberOfSlot(name));
  }

  /** This process holds a slot. */
  acquired(key: string, slot: number): void {
    const held = this.#held.get(key) ?? new Set();
    this.#held.set(key, held.add(slot));
  }

  /** This process holds a slot no longer. */
  released(key: string, slot: number): void {
    const held = this.#held.get(key);
    if (held?.delete(slot) === true && held.size === 0) this.#held.delete(key);
  }
}
