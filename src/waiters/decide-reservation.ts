import type { ReservationReply, StoredWaiter } from "../lock/wait-list-hooks.ts";
import { compareWaiters, isArriving } from "./waiter.ts";

/** What the masters together say about the turn of a key. */
export type ReservationDecision =
  /** Too few have answered to say anything. */
  | { readonly kind: "unknown" }
  /** Somebody holds the key, for so many milliseconds unless it is extended. */
  | { readonly kind: "held"; readonly expiresIn: number; readonly waiting: number }
  /** The key is kept for `position`, whom somebody has called. With `dissent` some masters keep it for somebody else. */
  | {
      readonly kind: "reserved";
      readonly position: string;
      /** Empty when it is in no line. */
      readonly record: string;
      readonly dissent: boolean;
      readonly expiresIn: number;
      readonly waiting: number;
    }
  /**
   * The turn is `head`'s, and it must be called; `next` are those after it. With `dissent` some masters keep the key for
   * somebody else, or for nobody.
   */
  | {
      readonly kind: "next";
      readonly head: StoredWaiter;
      readonly next: readonly StoredWaiter[];
      readonly dissent: boolean;
      readonly waiting: number;
    }
  | { readonly kind: "free"; readonly waiting: number };

/**
 * Decides from what masters have said so far. Where they name different waiters, because some did not hear of all who
 * joined, the one that most of them name is chosen, and of those the first in order. Of turns that were given before, the
 * one with the largest token counts, of those who are still in line: the others have come and gone where a master did not
 * hear of it.
 */
export function decideReservation(
  replies: readonly (ReservationReply | undefined)[],
  quorum: number,
): ReservationDecision {
  const said = replies.filter((reply) => reply !== undefined);
  if (said.length < quorum) return { kind: "unknown" };
  const waiting = Math.max(...said.map((reply) => reply.waiting));
  const held = said.filter((reply) => reply.status === "held");
  if (said.length - held.length < quorum) {
    if (held.length === 0) return { kind: "unknown" };
    return { kind: "held", expiresIn: longest(held), waiting };
  }
  const reservations = said.filter((reply) => reply.status === "reserved");
  const lists = said.flatMap((reply) => (reply.status === "next" ? [reply.waiters] : []));
  const heads = lists.flatMap((waiters) => waiters.slice(0, 1));
  const kept = reservations.find(
    ({ position }) => reservations.filter((other) => other.position === position).length >= quorum,
  );
  // Several who look at once can each be told of the head by a minority: then each of them calls, and nobody else has.
  const isCalled = kept !== undefined && !heads.some(({ position }) => position === kept.position);
  const reservation = isCalled ? kept : reservations.toSorted(compareTurns)[0];
  if (isCalled || heads.length === 0) {
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
  const names = [
    ...heads.map(({ position }) => position),
    ...reservations.map(({ position }) => position),
  ];
  const votesFor = (position: string): number => names.filter((name) => name === position).length;
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
      names.some((name) => name !== head.position) || said.some(({ status }) => status === "free"),
    waiting,
  };
}

/** Of what masters know about one waiter: one that has been parked since it was refused must be called. */
function latestOf(records: readonly string[]): string {
  const known = records.filter((record) => record !== "");
  return known.find((record) => !isArriving({ record })) ?? known[0] ?? "";
}

function compareTurns(
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
