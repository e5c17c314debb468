import type { Random } from "../random.ts";
import { RecentMap } from "../recent-map.ts";
import type { Lock } from "./lock.ts";

/**
 * A key with a limit has so many _slots_. Each slot is a lock of its own, with its own marks and
 * its own reservation, and the client names the slot that it asks for: so at most as many clients
 * hold the key as there are slots, by the proof for one holder. The wait list is that of the key.
 *
 * Slot 0 has the name of the key itself: a client without a limit, and another program, exclude its holder only.
 */

/** What the names of all slots but slot 0 begin with. */
export const SLOT = "@slot:";

/** The name of a slot; a key never begins with `@`. */
export function slotName(key: string, slot: number): string {
  return slot === 0 ? key : `${SLOT}${slot}:${key}`;
}

/** The names of all slots of a key. */
export function slotNames(key: string, limit = 1): string[] {
  return Array.from({ length: limit }, (_, slot) => slotName(key, slot));
}

/** The names of the slots that a lock holds. */
export function slotNamesOf({ keys, slots }: Pick<Lock, "keys" | "slots">): string[] {
  return keys.map((key, index) => slotName(key, slots[index] ?? 0));
}

/** The key of a slot, by its name. */
export function keyOfSlot(name: string): string {
  return name.startsWith(SLOT) ? name.slice(name.indexOf(":", SLOT.length) + 1) : name;
}

/** The number of a slot, by its name. */
export function numberOfSlot(name: string): number {
  return name.startsWith(SLOT) ? Number.parseInt(name.slice(SLOT.length), 10) : 0;
}

/** Lua functions on the names of slots, for all operations. */
export const SLOTS_LUA = `
local function slotName(key, slot)
  return slot == 0 and key or '${SLOT}' .. slot .. ':' .. key
end
local function keyOfSlot(name)
  if string.byte(name) ~= 64 then return name, 0 end
  local slot, key = string.match(name, '^${SLOT}(%d+):(.*)$')
  return key or name, tonumber(slot or 0)
end`;

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
