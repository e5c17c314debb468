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
