import { namedByQuorum } from "../lock/quorum.ts";
import type { ReservationReply, StoredWaiter } from "../lock/wait-list-hooks.ts";
import { compareWaiters, isArriving } from "./waiter.ts";

/** The answer of a master that has reserved the key before. */
type Reserved = ReservationReply & { readonly status: "reserved" };

/** What the masters together say about the reservation of a key. */
export type ReservationDecision =
  /** Too few masters have answered. */
  | { readonly kind: "unknown" }
  /** Masters have reserved the key for different waiters, none of which has a quorum, and those that have not answered decide. */
  | { readonly kind: "contested"; readonly waiting: number }
  /** The key is held, for so many milliseconds unless the lock is extended. */
  | { readonly kind: "held"; readonly expiresIn: number; readonly waiting: number }
  /** The key was reserved for `position` before. With `dissent` some masters have reserved it for another waiter. */
  | {
      readonly kind: "reserved";
      readonly position: string;
      /** Empty when the position is in no wait list. */
      readonly record: string;
      readonly dissent: boolean;
      /** Whether it has no quorum, and those of other waiters are in its way. */
      readonly blocked: boolean;
      readonly expiresIn: number;
      readonly waiting: number;
    }
  /**
   * The key is reserved for `head`, which must be woken; `next` are the waiters after it. With `dissent` some masters have
   * reserved the key for another waiter, or not at all.
   */
  | {
      readonly kind: "next";
      readonly head: StoredWaiter;
      readonly next: readonly StoredWaiter[];
      readonly dissent: boolean;
      /** Whether no quorum has named it, and the reservations of other waiters are in its way. */
      readonly blocked: boolean;
      /** Whether it has let an earlier reservation by a quorum expire. */
      readonly missed: boolean;
      readonly waiting: number;
    }
  /** The key is free and not reserved. */
  | { readonly kind: "free"; readonly waiting: number };

/**
 * Decides from the answers so far. Pure. Masters that have not received all joins name different
 * waiters: then the waiter that most of them name is chosen, and of several the first in order. Of
 * earlier reservations the one with the largest token counts whose waiter is still in a wait list:
 * the other waiters have come and gone, and a master did not receive that.
 *
 * Releases of two slots at the same time reach masters in different orders, and then the same two waiters are named for both. A
 * majority has one order, by which both releasers choose. When no majority can have one, the first waiter is for the first of
 * these slots.
 * @param slot the number of the slot that is released.
 * @param isComplete whether no further master will answer.
 */
export function decideReservation(
  replies: readonly (ReservationReply | undefined)[],
  quorum: number,
  slot = 0,
  isComplete = replies.every((reply) => reply !== undefined),
): ReservationDecision {
  const answers = replies.filter((reply) => reply !== undefined);
  if (answers.length < quorum) return { kind: "unknown" };
  const waiting = Math.max(...answers.map((reply) => reply.waiting));
  const held = answers.filter((reply) => reply.status === "held");
  if (answers.length - held.length < quorum) {
    return { kind: "held", expiresIn: longest(held), waiting };
  }
  const earlier = answers.filter((reply) => reply.status === "reserved");
  const lists = answers.flatMap((reply) => (reply.status === "next" ? [reply.waiters] : []));
  const heads = lists.flatMap((waiters) => waiters.slice(0, 1));
  const settled = settledBefore(earlier, heads, quorum);
  if (settled !== undefined) {
    const blocked = isBlocked(earlier, settled, quorum);
    // @protection a tie between reservations waits for the masters that have not answered
    if (blocked && !isComplete) return { kind: "contested", waiting };
    return {
      kind: "reserved",
      position: settled.position,
      record: latestRecord(earlier, settled),
      dissent: differ(earlier, settled),
      blocked,
      expiresIn: longest(earlier),
      waiting,
    };
  }
  if (heads.length === 0) return { kind: "free", waiting };
  const named = [...heads, ...earlier];
  const chosen = choose(heads, named, shareOf(slot, answers), quorum);
  const blocked = isBlocked(named, chosen, quorum);
  // A master that has lost its memory may not know the first waiter, and of a key with a limit, a waiter may have got another slot.
  // @protection a tie between waiters waits for the masters that have not answered
  if (blocked && !isComplete) return { kind: "contested", waiting };
  const { position } = chosen;
  return {
    kind: "next",
    head: { ...chosen, record: latestRecord(heads, chosen) },
    next: distinct(lists.flat().filter((other) => other.position !== position)),
    dissent: differ(named, chosen) || answers.some(({ status }) => status === "free"),
    blocked,
    missed: isMissed(answers, chosen, quorum),
    waiting,
  };
}

/**
 * The reservation that stays as it is: the one that a quorum had before, unless a master has made
 * it just now; without any head, the latest one.
 */
function settledBefore(
  earlier: readonly Reserved[],
  heads: readonly StoredWaiter[],
  quorum: number,
): Reserved | undefined {
  const agreed = namedByQuorum(earlier, quorum, isSamePosition);
  // Of several processes that check at once each may receive the head from a minority. Then each wakes it, since no other has.
  const isMadeNow = agreed !== undefined && heads.some((head) => isSamePosition(head, agreed));
  if (agreed !== undefined && !isMadeNow) return agreed;
  return heads.length === 0 ? earlier.toSorted(compareReservations)[0] : undefined;
}

/**
 * Chooses one of the heads.
 * @param named the waiters that masters name, each as often as they do.
 * @param share the head that the slot is for when no majority names one.
 */
function choose(
  heads: readonly StoredWaiter[],
  named: readonly Named[],
  share: StoredWaiter | undefined,
  quorum: number,
): StoredWaiter {
  const [favourite] = heads.toSorted(
    (a, b) => count(named, b) - count(named, a) || compareWaiters(a, b),
  ) as [StoredWaiter];
  return count(named, favourite) >= quorum ? favourite : (share ?? favourite);
}

/** Of waiters that masters have reserved different slots for, the one that this slot is for; `undefined` where they agree. */
function shareOf(slot: number, answers: readonly ReservationReply[]): StoredWaiter | undefined {
  const next = answers.filter((reply) => reply.status === "next");
  const heads = distinct(next.flatMap(({ waiters }) => waiters.slice(0, 1)));
  const contested = new Set(heads.map(({ position }) => position));
  const others = next.flatMap((reply) => reply.others);
  const slots = new Set([slot]);
  for (const other of others) if (contested.has(other.position)) slots.add(other.slot);
  const rank = [...slots].filter((other) => other < slot).length;
  return heads.length > 1 && slots.size > 1 ? heads[rank] : undefined;
}

/** A waiter that a master names. */
type Named = Pick<StoredWaiter, "position">;

/** How many masters name the waiter. */
function count(named: readonly Named[], waiter: Named): number {
  return named.filter((other) => isSamePosition(other, waiter)).length;
}

/** Whether a master names another waiter. */
function differ(named: readonly Named[], waiter: Named): boolean {
  return named.some((other) => !isSamePosition(other, waiter));
}

/** Whether no quorum names the waiter, and other waiters are in its way. */
function isBlocked(named: readonly Named[], waiter: Named, quorum: number): boolean {
  return differ(named, waiter) && count(named, waiter) < quorum;
}

/** Whether a quorum says of the waiter that it has let an earlier reservation expire. */
function isMissed(answers: readonly ReservationReply[], waiter: Named, quorum: number): boolean {
  const missing = answers.flatMap((reply) =>
    reply.status === "next" && reply.missed ? reply.waiters.slice(0, 1) : [],
  );
  return count(missing, waiter) >= quorum;
}

function isSamePosition(a: Named, b: Named): boolean {
  return a.position === b.position;
}

/** The latest record of one waiter: a job that was parked after its refusal must be woken. */
function latestRecord(
  named: readonly Omit<StoredWaiter, "priority">[],
  { position }: Pick<StoredWaiter, "position">,
): string {
  const own = named.filter((other) => other.position === position && other.record !== "");
  return (own.find((other) => !isArriving(other)) ?? own[0])?.record ?? "";
}

function compareReservations(a: Reserved, b: Reserved): number {
  return Number(b.record !== "") - Number(a.record !== "") || b.token - a.token;
}

function longest(replies: readonly { readonly expiresIn: number }[]): number {
  return Math.max(...replies.map(({ expiresIn }) => expiresIn));
}

function distinct(waiters: readonly StoredWaiter[]): StoredWaiter[] {
  const known = new Map(waiters.map((waiter) => [waiter.position, waiter]));
  return [...known.values()].toSorted(compareWaiters);
}
