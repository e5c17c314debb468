import { type Holder, LockUnavailableError, type NodeVote } from "../errors.ts";
import { FRONT_OFFSET } from "../waiters/move-operation.ts";
import { parsePosition } from "../waiters/waiter.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { namedByQuorum } from "../lock/quorum.ts";
import type { ReadReply } from "../lock/read-operation.ts";
import {
  describeContent,
  inspectSlot,
  type NodeInspection,
  type SlotInspection,
  surveySlots,
  withoutAttempts,
} from "./inspect-slots.ts";
import { describeQuarantine, isAnswer } from "../sentences.ts";
import { answersOf, type KeyReply, longestList, readKey, walkPositions } from "./read-key.ts";

/** A waiter of a key. */
export interface WaiterInspection {
  /** A job, as `prefix:queue:id`; `undefined` for a program that waits in `acquire` or `hold`. */
  job: string | undefined;
  /** How such a program describes itself, see the option `holder` of `acquire`; `undefined` for a job. */
  holder: string | undefined;
  /** Smaller comes first. */
  priority: number;
  /** When the job was to run, or the wait began, in milliseconds since 1970 by the clock of the waiting process. */
  since: number | undefined;
}

/** A free key that is kept for one waiter. */
export interface KeyReservation extends Omit<WaiterInspection, "priority"> {
  /** Whether it waits for the next attempt of a job that has failed or was killed (`retryOrder: "keep"`). */
  forRetry: boolean;
  /** Milliseconds until it ends at the latest. */
  expiresIn: number;
}

/** What the masters know about a key. */
export interface KeyInspection {
  key: string;
  /**
   * The largest limit that clients use for the key, as far as the masters know: they remember it for an hour after the last use.
   * 1 for a key with one holder.
   */
  limit: number;
  /** True when so many masters hold the key that no other client can get it now; with a limit, when all slots are taken. */
  locked: boolean;
  /** The holder that a quorum names; the oldest one of several. */
  holder: Holder | undefined;
  /** All holders that a quorum names, the oldest first. With a limit there may be several; each has its `slot`. */
  holders: Holder[];
  /** The slots that are not free, in order; absent where `limit` is 1. */
  slots?: SlotInspection[];
  /** The waiter for which a quorum keeps the free key; `undefined` when there is none. For a key with a limit, of slot 0. */
  reserved: KeyReservation | undefined;
  quorum: number;
  /** How many wait for the key, by the master that knows most of them. */
  waiting: number;
  /** The first 20 of them, in order. */
  waiters: WaiterInspection[];
  /** What each master knows about the key, and with a limit about slot 0. */
  nodes: NodeInspection[];
}

/**
 * Asks all masters about a key.
 * @throws {LockUnavailableError} when no quorum answers.
 */
export async function inspectKey(context: LockContext, key: string): Promise<KeyInspection> {
  const inspection = await surveyKey(context, key);
  const unavailable = unavailability(inspection, [key], context.nodeTimeout);
  if (unavailable !== undefined) throw unavailable;
  return inspection;
}

/**
 * As {@link inspectKey}, to act on what it finds. Masters without a vote may have forgotten a
 * holder: a key for which no holder is found is known to be free only when a quorum can vote.
 * @throws {LockUnavailableError} when no quorum answers, or none can vote and no holder is found.
 */
export async function inspectToAct(context: LockContext, key: string): Promise<KeyInspection> {
  const inspection = await inspectKey(context, key);
  requireVotes(inspection, context.nodeTimeout);
  return inspection;
}

/** Throws for a key without a holder that may have one all the same: no quorum can vote. @throws {LockUnavailableError} */
export function requireVotes(
  { key, holders, nodes, quorum }: KeyInspection,
  nodeTimeout: number,
): void {
  const votes = nodes.map(({ node, vote, quarantine, ...rest }): NodeVote => {
    if (vote === "quarantined") return { node, vote, cause: describeQuarantine(quarantine) };
    if (vote === "unarmed") return { node, vote, cause: undefined };
    return voteIn({ node, ...rest });
  });
  if (holders.length > 0 || votes.filter(({ vote }) => isAnswer(vote)).length >= quorum) return;
  throw new LockUnavailableError({ keys: [key], votes, quorum, nodeTimeout });
}

function voteIn({
  node,
  state,
  cause,
}: Pick<NodeInspection, "node" | "state" | "cause">): NodeVote {
  return { node, vote: state === "foreign" ? "held" : state, cause };
}

/** The error for too few answers about some keys; `undefined` when a quorum answered. */
export function unavailability(
  { nodes, quorum }: KeyInspection,
  keys: readonly string[],
  nodeTimeout: number,
): LockUnavailableError | undefined {
  if (nodes.filter(({ state }) => isAnswer(state)).length >= quorum) return undefined;
  const votes = nodes.map(voteIn);
  return new LockUnavailableError({ keys, votes, quorum, nodeTimeout });
}

/** As {@link inspectKey}, but reports what is known, even if too few masters answer: none of it is certain then. */
export async function surveyKey(context: LockContext, key: string): Promise<KeyInspection> {
  const { masters, guards } = context;
  const replies = withoutAttempts(await readKey(context, key));
  const list = longestList(replies);
  const isNew = replies.every((reply) => reply instanceof Error || reply.guard === "absent");
  const nodes = replies.map((reply, index) => ({
    ...describeContent(masters.names[index] ?? "", reply),
    mark: reply instanceof Error ? 0 : reply.mark,
    ...voteOf(reply, guards.enabled, isNew),
  }));
  const answers = answersOf(replies);
  const limit = Math.max(1, ...answers.map((reply) => reply.limit));
  const known = Math.max(1, ...answers.map((reply) => reply.slots));
  const slots = known === 1 ? undefined : await surveySlots(context, key, known);
  const whole = inspectSlot(context, 0, replies);
  const holders = (slots ?? [whole]).flatMap(({ holder }) => holder ?? []).sort(byAge);
  const locked =
    slots === undefined
      ? whole.locked
      : slots.filter(({ slot, locked }) => locked && slot < limit).length === limit;
  return {
    key,
    limit,
    locked,
    holder: holders[0],
    holders,
    ...(slots === undefined ? {} : { slots }),
    reserved: locked ? undefined : reservedBy(answers, masters.quorum),
    quorum: masters.quorum,
    waiting: list?.waiting ?? 0,
    waiters: (list?.first ?? []).map(toWaiter),
    nodes,
  };
}

/** The reservation that a quorum has. */
function reservedBy(answers: readonly ReadReply[], quorum: number): KeyReservation | undefined {
  const all = answers.flatMap(({ reservation }) => reservation ?? []);
  const agreed = namedByQuorum(all, quorum, (a, b) => a.position === b.position);
  if (agreed === undefined) return undefined;
  const { position, forRetry, expiresIn } = agreed;
  return { ...waiterAt(position), forRetry, expiresIn };
}

/** The oldest first; a holder of unknown age may be the oldest. Of the same millisecond, the smaller token is older. */
function byAge(a: Holder, b: Holder): number {
  return (a.since ?? 0) - (b.since ?? 0) || (a.fencingToken ?? 0) - (b.fencingToken ?? 0);
}

/** Describes an entry of a wait list. */
function toWaiter({ position, priority }: ReadReply["first"][number]): WaiterInspection {
  const { job, holder, since } = waiterAt(position);
  return { job, holder, priority: Math.floor(priority + FRONT_OFFSET), since };
}

/** Describes the waiter at a position. */
export function waiterAt(position: string): Omit<WaiterInspection, "priority"> {
  const parsed = parsePosition(position);
  if (parsed === undefined) return { job: undefined, holder: undefined, since: undefined };
  const { since, queueId, id, text } = parsed;
  if (text !== undefined) return { job: undefined, holder: text, since };
  return { job: `${queueId.slice(queueId.indexOf(" ") + 1)}:${id}`, holder: undefined, since };
}

/** Iterates over all waiters of a key, in order. @throws {LockUnavailableError} when no quorum answers. */
export async function* walkWaiters(
  context: LockContext,
  key: string,
): AsyncGenerator<WaiterInspection, void, void> {
  for await (const waiter of walkPositions(context, key)) yield toWaiter(waiter);
}

/**
 * @param isGuarded whether votes depend on the guards.
 * @param isNew whether no master has a guard.
 */
function voteOf(
  reply: KeyReply,
  isGuarded: boolean,
  isNew: boolean,
): Pick<NodeInspection, "vote" | "quarantine"> {
  const quarantine = undefined;
  if (reply instanceof Error) return { vote: "unknown", quarantine };
  if (!isGuarded) return { vote: "yes", quarantine };
  if (isNew) return { vote: "unknown", quarantine };
  if (reply.guard !== "armed") return { vote: "unarmed", quarantine };
  if (reply.quarantine === 0) return { vote: "yes", quarantine };
  return { vote: "quarantined", quarantine: reply.quarantine };
}
