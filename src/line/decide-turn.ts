import type { TurnReply, Waiter } from "../lock/lining.ts";
import { compareWaiters, isArriving } from "./place.ts";

/** What the masters together say about the turn of a key. */
export type TurnDecision =
  /** Too few have answered to say anything. */
  | { readonly kind: "unknown" }
  /** Somebody holds the key, for so many milliseconds unless it is extended. */
  | { readonly kind: "held"; readonly expiresIn: number; readonly waiting: number }
  /** The key is kept for `place`, whom somebody has called. With `dissent` some masters keep it for somebody else. */
  | {
      readonly kind: "turn";
      readonly place: string;
      /** Empty when it is in no line. */
      readonly detail: string;
      readonly dissent: boolean;
      readonly expiresIn: number;
      readonly waiting: number;
    }
  /**
   * The turn is `head`'s, and it must be called; `next` are those after it. With `dissent` some masters keep the key for
   * somebody else, or for nobody.
   */
  | {
      readonly kind: "head";
      readonly head: Waiter;
      readonly next: readonly Waiter[];
      readonly dissent: boolean;
      readonly waiting: number;
    }
  | { readonly kind: "nobody"; readonly waiting: number };

/**
 * Decides from what masters have said so far. Where they name different waiters, because some did not hear of all who
 * joined, the one that most of them name is chosen, and of those the first in order. Of turns that were given before, the
 * one with the largest token counts, of those who are still in line: the others have come and gone where a master did not
 * hear of it.
 */
export function decideTurn(
  replies: readonly (TurnReply | undefined)[],
  quorum: number,
): TurnDecision {
  const said = replies.filter((reply) => reply !== undefined);
  if (said.length < quorum) return { kind: "unknown" };
  const waiting = Math.max(...said.map((reply) => reply.waiting));
  const held = said.filter((reply) => reply.status === "held");
  if (said.length - held.length < quorum) {
    if (held.length === 0) return { kind: "unknown" };
    return { kind: "held", expiresIn: longest(held), waiting };
  }
  const turns = said.filter((reply) => reply.status === "turn");
  const lists = said.flatMap((reply) => (reply.status === "head" ? [reply.waiters] : []));
  const heads = lists.flatMap((waiters) => waiters.slice(0, 1));
  const kept = turns.find(
    ({ place }) => turns.filter((other) => other.place === place).length >= quorum,
  );
  // Several who look at once can each be told of the head by a minority: then each of them calls, and nobody else has.
  const isCalled = kept !== undefined && !heads.some(({ place }) => place === kept.place);
  const turn = isCalled ? kept : turns.toSorted(compareTurns)[0];
  if (isCalled || heads.length === 0) {
    if (turn === undefined) return { kind: "nobody", waiting };
    const { place } = turn;
    const dissent = turns.some((other) => other.place !== place);
    const details = turns.flatMap((other) => (other.place === place ? [other.detail] : []));
    return {
      kind: "turn",
      place,
      detail: latestOf(details),
      dissent,
      expiresIn: longest(turns),
      waiting,
    };
  }
  const names = [...heads.map(({ place }) => place), ...turns.map(({ place }) => place)];
  const votesFor = (place: string): number => names.filter((name) => name === place).length;
  const [first] = heads.toSorted(
    (a, b) =>
      votesFor(b.place) - votesFor(a.place) ||
      Number(isArriving(a)) - Number(isArriving(b)) ||
      compareWaiters(a, b),
  ) as [Waiter];
  const details = heads.flatMap(({ place, detail }) => (place === first.place ? [detail] : []));
  const head = { ...first, detail: latestOf(details) };
  const next = lists.flat().filter(({ place }) => place !== head.place);
  return {
    kind: "head",
    head,
    next: distinct(next),
    dissent:
      names.some((name) => name !== head.place) || said.some(({ status }) => status === "nobody"),
    waiting,
  };
}

/** Of what masters know about one waiter: one that has been parked since it was refused must be called. */
function latestOf(details: readonly string[]): string {
  const known = details.filter((detail) => detail !== "");
  return known.find((detail) => !isArriving({ detail })) ?? known[0] ?? "";
}

function compareTurns(
  a: TurnReply & { status: "turn" },
  b: TurnReply & { status: "turn" },
): number {
  return Number(b.detail !== "") - Number(a.detail !== "") || b.token - a.token;
}

function longest(replies: readonly { readonly expiresIn: number }[]): number {
  return Math.max(...replies.map(({ expiresIn }) => expiresIn));
}

function distinct(waiters: readonly Waiter[]): Waiter[] {
  const known = new Map(waiters.map((waiter) => [waiter.place, waiter]));
  return [...known.values()].toSorted(compareWaiters);
}
