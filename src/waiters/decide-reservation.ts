import type { ReservationReply, StoredWaiter } from "../lock/wait-list-hooks.ts";
import { compareWaiters, isArriving } from "./waiter.ts";

/** What the masters together say about the reservation of a key. */
export type ReservationDecision =
  /** Too few masters have answered. */
  | { readonly kind: "unknown" }
  /** The key is held, for so many milliseconds unless the lock is extended. */
  | { readonly kind: "held"; readonly expiresIn: number; readonly waiting: number }
  /** The key was reserved for `position` before. With `dissent` some masters have reserved it for another waiter. */
  | {
      readonly kind: "reserved";
      readonly position: string;
      /** Empty when the position is in no wait list. */
      readonly record: string;
      readonly dissent: boolean;
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
      readonly waiting: number;
    }
  /** The key is free and not reserved. */
  | { readonly kind: "free"; readonly waiting: number };

/**
 * Decides from the answers so far. Pure. Masters that have not received all joins name different waiters: then the waiter that most
 * of them name is chosen, and of several the first in order. Of earlier reservations the one with the largest token counts
 * whose waiter is still in a wait list: the other waiters have come and gone, and a master did not receive that.
 */
export function decideReservation(
  replies: readonly (ReservationReply | undefined)[],
  quorum: number,
): ReservationDecision {
  const answers = replies.filter((reply) => reply !== undefined);
  if (answers.length < quorum) return { kind: "unknown" };
  const waiting = Math.max(...answers.map((reply) => reply.waiting));
  const held = answers.filter((reply) => reply.status === "held");
  if (answers.length - held.length < quorum) {
    if (held.length === 0) return { kind: "unknown" };
    return { kind: "held", expiresIn: longest(held), waiting };
  }
  const reservations = answers.filter((reply) => reply.status === "reserved");
  const lists = answers.flatMap((reply) => (reply.status === "next" ? [reply.waiters] : []));
  const heads = lists.flatMap((waiters) => waiters.slice(0, 1));
  const agreed = reservations.find(
    ({ position }) => reservations.filter((other) => other.position === position).length >= quorum,
  );
  // Of several processes that check at once each may receive the head from a minority. Then each wakes it, since no other has.
  const isWoken =
    agreed !== undefined && !heads.some(({ position }) => position === agreed.position);
  const reservation = isWoken ? agreed : reservations.toSorted(compareReservations)[0];
  if (isWoken || heads.length === 0) {
    if (reservation === undefined) return { kind: "free", waiting };
    const { position } = reservation;
    const dissent = reservations.some((other) => other.position !== position);
    const records = reservations.flatMap((other) =>
      other.position === position ? [other.record] : [],
    );
    return {
      kind: "reserved",
      position,
      record: latestOf(records),
      dissent,
      expiresIn: longest(reservations),
      waiting,
    };
  }
  const named = [...heads, ...reservations].map(({ position }) => position);
  const votesFor = (position: string): number => named.filter((name) => name === position).length;
  const [first] = heads.toSorted(
    (a, b) =>
      votesFor(b.position) - votesFor(a.position) ||
      Number(isArriving(a)) - Number(isArriving(b)) ||
      compareWaiters(a, b),
  ) as [StoredWaiter];
  const records = heads.flatMap(({ position, record }) =>
    position === first.position ? [record] : [],
  );
  const head = { ...first, record: latestOf(records) };
  const next = lists.flat().filter(({ position }) => position !== head.position);
  return {
    kind: "next",
    head,
    next: distinct(next),
    dissent:
      named.some((position) => position !== head.position) ||
      answers.some(({ status }) => status === "free"),
    waiting,
  };
}

/** The latest record of one waiter: a job that was parked after its refusal must be woken. */
function latestOf(records: readonly string[]): string {
  const known = records.filter((record) => record !== "");
  return known.find((record) => !isArriving({ record })) ?? known[0] ?? "";
}

function compareReservations(
  a: ReservationReply & { status: "reserved" },
  b: ReservationReply & { status: "reserved" },
): number {
  return Number(b.record !== "") - Number(a.record !== "") || b.token - a.token;
}

function longest(replies: readonly { readonly expiresIn: number }[]): number {
  return Math.max(...replies.map(({ expiresIn }) => expiresIn));
}

function distinct(waiters: readonly StoredWaiter[]): StoredWaiter[] {
  const known = new Map(waiters.map((waiter) => [waiter.position, waiter]));
  return [...known.values()].toSorted(compareWaiters);
}
