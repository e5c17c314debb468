import type { KeyHolder } from "../lock/acquire-operation.ts";
import { namedByQuorum } from "../lock/quorum.ts";
import type { StoredWaiter } from "../lock/wait-list-hooks.ts";
import type { JoinReply } from "./join-operation.ts";

/** The answer of each master about each key; nothing for a master without an answer. */
export type JoinReplies = readonly (readonly JoinReply[] | undefined)[];

/** Whether all slots of a key are held, or reserved for other waiters than the newcomer. */
export function isTaken(
  reply: JoinReply | undefined,
  { position }: Pick<StoredWaiter, "position">,
): boolean {
  if (reply === undefined || reply.free.length > 0) return false;
  return !reply.reserved.some((reservation) => reservation.position === position);
}

/** The slots of a key that any master has seen free for the waiter, each once; those most masters name come first. */
export function freeIn(replies: JoinReplies, index: number, position: string): number[] {
  const named = replies.flatMap((reply) => {
    const { free = [], reserved = [] } = reply?.[index] ?? {};
    return [...free, ...reserved.flatMap((each) => (each.position === position ? each.slot : []))];
  });
  const votes = (slot: number): number => named.filter((other) => other === slot).length;
  return [...new Set(named)].toSorted((a, b) => votes(b) - votes(a));
}

/** The waiters that any master names as replaced, each once. */
export function replacedIn(
  replies: JoinReplies,
  keys: readonly string[],
): readonly { readonly key: string; readonly waiter: StoredWaiter }[] {
  const replaced = replies.flatMap((reply) =>
    (reply ?? []).flatMap((joined, index) =>
      joined.replaced.map((waiter) => ({ key: keys[index] ?? "", waiter })),
    ),
  );
  return [...new Map(replaced.map((entry) => [entry.waiter.position, entry])).values()];
}

/** How many others wait for a key, by the master that knows most. */
export function waitingIn(replies: JoinReplies, index: number): number {
  return Math.max(0, ...replies.map((reply) => reply?.[index]?.holder?.waiting ?? 0));
}

/**
 * The holder of the only key that a quorum names to a newcomer.
 * @param newcomer which one of the request.
 */
export function holderIn(
  replies: JoinReplies,
  newcomer: number,
  quorum: number,
): KeyHolder | undefined {
  const named = replies.flatMap((reply) => {
    const { holder, ahead = [] } = reply?.[0] ?? {};
    return holder === undefined ? [] : { ...holder, ahead: ahead[newcomer] ?? holder.waiting };
  });
  const holder = namedByQuorum(named, quorum, isSameHolder);
  return holder && { ...holder, waiting: waitingIn(replies, 0) };
}

function isSameHolder(a: KeyHolder, b: KeyHolder): boolean {
  return a.id === b.id && a.token === b.token && a.slot === b.slot;
}
