import type { AcquireRound } from "./acquire-round.ts";
import type { LockContext } from "./lock-context.ts";
import type { SlotChoice } from "./slot-choice.ts";
import { numberOfSlot, slotName } from "./slots.ts";
import type { LockIdentity, Requester } from "./lock-identity.ts";

/** The slots that an attempt asks for first. */
export function firstSlots(
  { slotChoice }: LockContext,
  { keys, limits }: Pick<LockIdentity, "keys" | "limits">,
  { position }: Requester,
): readonly string[] {
  if (limits === undefined) return keys;
  return keys.map((key, index) =>
    slotName(key, slotChoice.choose(key, limits[index] ?? 1, position)),
  );
}

/**
 * Other slots in place of those that are taken, each of which so many masters at least name as free; `undefined` when a key has
 * none, or when no key with a limit is in the way.
 */
export function freeSlots(
  round: AcquireRound,
  votes: number,
  choice: SlotChoice,
): readonly string[] | undefined {
  const { keys, slots } = round.lease.identity;
  let moves = false;
  const chosen: string[] = [];
  for (const [index, key] of keys.entries()) {
    const slot = slots[index] ?? key;
    const { busy, named } = countSlots(round, index);
    const most = Math.max(0, ...named.values());
    const isBest = (count: number): boolean => count === most && count >= votes;
    const best = [...named].flatMap(([other, count]) => (isBest(count) ? other : []));
    const other = busy === 0 ? undefined : choice.oneOf(best);
    if (busy > 0 && other === undefined) return undefined;
    moves ||= other !== undefined;
    chosen.push(other === undefined ? slot : slotName(key, other));
  }
  return moves ? chosen : undefined;
}

/** Whether a quorum has no free slot of a key that is in the way. */
export function isFull(round: AcquireRound): boolean {
  const { keys, limits } = round.lease.identity;
  if (limits === undefined) return true;
  return keys.some((_, index) => {
    const { busy, full, named } = countSlots(round, index);
    if (busy === 0) return false;
    // A holder that is known to have won may be in the way of a minority alone: then no other slot is named.
    return full >= round.quorum || (full > 0 && named.size <= 1);
  });
}

/** How many masters report the slot of a key as taken, how many have no free one, and how many name each slot as free. */
function countSlots(
  { lease, votes }: AcquireRound,
  index: number,
): { busy: number; full: number; named: Map<number, number> } {
  const { keys, slots } = lease.identity;
  const named = new Map<number, number>();
  const asked = numberOfSlot(slots[index] ?? "");
  let busy = 0;
  let full = 0;
  for (const vote of votes) {
    if (vote.kind !== "busy" && vote.kind !== "granted") continue;
    const holder =
      vote.kind === "busy" ? vote.holders.find(({ key }) => key === keys[index]) : undefined;
    if (holder !== undefined) busy += 1;
    if (holder?.free.length === 0) full += 1;
    for (const slot of holder?.free ?? [asked]) named.set(slot, (named.get(slot) ?? 0) + 1);
  }
  return { busy, full, named };
}
