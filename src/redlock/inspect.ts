import { type Holder, LockUnavailableError, type NodeVote } from "../errors.ts";
import { parsePosition } from "../waiters/waiter.ts";
import type { LockContext } from "../lock/lock-context.ts";
import type { Content, ReadReply } from "../lock/read-operation.ts";
import type { NodeError, NodeFailure } from "../redis/node-error.ts";
import { toHolder } from "./holder.ts";
import { answersOf, type KeyReply, longestList, readKey, readSlots } from "./read-key.ts";

/** What one master knows about a key. */
export interface NodeInspection {
  /** `host:port`. */
  node: string;
  /** `foreign`: something that is no lock is stored under the key. Else why the master did not answer. */
  state: "free" | "held" | "foreign" | NodeFailure;
  /** The holder of the key on this master. */
  holder: Holder | undefined;
  /** Milliseconds until the key expires on this master without an extend; `undefined` when it does not. */
  expiresIn: number | undefined;
  /** The highest fencing token this master knows for the key; 0 when none. */
  mark: number;
  /**
   * Whether the master gives its vote: `quarantined` and `unarmed` give none after a loss of memory, the former for
   * `quarantine` ms, the latter until a client has asked for a lock and the quarantine that this begins is over.
   * `unknown` when it did not answer, and when no master that did has a guard: they are new, or all lost their memory.
   */
  vote: "yes" | "quarantined" | "unarmed" | "unknown";
  /** Milliseconds for which a quarantined master gives no vote yet. */
  quarantine: number | undefined;
  /** Why the master did not answer, or the type of what is in the way. */
  cause: string | undefined;
}

/** A waiter of a key. */
export interface WaiterInspection {
  /** A job, as `prefix:queue:id`; `undefined` for a program that waits in `acquire`. */
  job: string | undefined;
  /** Smaller comes first. */
  priority: number;
  /** When the job was to run, or the wait began, in milliseconds since 1970 by the clock of the waiting process. */
  since: number | undefined;
}

/** A slot of a key with a limit that some master does not report as free. */
export interface SlotInspection {
  /** From 0. */
  slot: number;
  /** True when so many masters hold the slot that no other client can get it now. */
  locked: boolean;
  /** The holder that a quorum names. */
  holder: Holder | undefined;
  /** What each master knows about the slot. */
  nodes: Pick<NodeInspection, "node" | "state" | "holder" | "expiresIn" | "cause">[];
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
  const unavailable = unavailability(inspection, context.nodeTimeout);
  if (unavailable !== undefined) throw unavailable;
  return inspection;
}

/** The error for too few answers about a key; `undefined` when a quorum answered. */
export function unavailability(
  { key, nodes, quorum }: KeyInspection,
  nodeTimeout: number,
): LockUnavailableError | undefined {
  if (nodes.filter(({ state }) => isAnswer(state)).length >= quorum) return undefined;
  const votes: NodeVote[] = nodes.map(({ node, state, cause }) => ({
    node,
    vote: state === "foreign" ? "held" : state,
    cause,
  }));
  return new LockUnavailableError({ keys: [key], votes, quorum, nodeTimeout });
}

/** As {@link inspectKey}, but reports what is known, however few masters answer: none of it is certain then. */
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
  return {
    key,
    limit,
    locked:
      slots === undefined
        ? whole.locked
        : slots.filter(({ slot, locked }) => locked && slot < limit).length === limit,
    holder: holders[0],
    holders,
    ...(slots === undefined ? {} : { slots }),
    quorum: masters.quorum,
    waiting: list?.waiting ?? 0,
    waiters: (list?.first ?? []).map(toWaiter),
    nodes,
  };
}

/** The slots that are not free on every master. */
async function surveySlots(
  context: LockContext,
  key: string,
  count: number,
): Promise<SlotInspection[]> {
  const replies = await readSlots(context, key, count);
  const known = new Set(
    replies.flatMap((reply) => (reply instanceof Error ? [] : reply.map(({ slot }) => slot))),
  );
  return [...known]
    .sort((a, b) => a - b)
    .map((slot) => {
      const contents = replies.map((reply) =>
        reply instanceof Error ? reply : (reply.find((each) => each.slot === slot) ?? EMPTY),
      );
      return inspectSlot(context, slot, withoutAttempts(contents), true);
    })
    .filter(({ nodes }) => nodes.some(({ state }) => state === "held" || state === "foreign"));
}

const EMPTY: Content = { holder: undefined, foreignType: undefined };

/** @param isNumbered whether the holder shows its slot. */
function inspectSlot(
  { masters: { names, quorum } }: LockContext,
  slot: number,
  contents: readonly (Content | NodeError)[],
  isNumbered = false,
): SlotInspection {
  const nodes = contents.map((content, index) => describeContent(names[index] ?? "", content));
  return {
    slot,
    locked: nodes.filter(({ state }) => state === "free").length < quorum,
    holder: holderOfQuorum(contents, quorum, isNumbered ? slot : undefined),
    nodes,
  };
}

/** The oldest first; a holder of unknown age may be the oldest. */
function byAge(a: Holder, b: Holder): number {
  return (a.since ?? 0) - (b.since ?? 0);
}

/** Describes an entry of a wait list. */
export function toWaiter({ position, priority }: ReadReply["first"][number]): WaiterInspection {
  const { since, queueId = "", id = "" } = parsePosition(position) ?? {};
  const queue = queueId.startsWith("~") ? undefined : queueId.slice(queueId.indexOf(" ") + 1);
  return { job: queue === undefined ? undefined : `${queue}:${id}`, priority, since };
}

/** A lock that a master accepted in quarantine is no vote, unless other masters name the same holder. */
function withoutAttempts<C extends Content>(
  contents: readonly (C | NodeError)[],
): (C | NodeError)[] {
  const holding = new Set<string>();
  for (const content of contents) {
    if (content instanceof Error || content.holder?.provisional) continue;
    if (content.holder !== undefined) holding.add(content.holder.id);
  }
  return contents.map((content) => {
    if (content instanceof Error || !content.holder?.provisional) return content;
    return holding.has(content.holder.id) ? content : { ...content, holder: undefined };
  });
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
  const vote = (word: NodeInspection["vote"]) => ({ vote: word, quarantine: undefined });
  if (reply instanceof Error) return vote("unknown");
  if (!isGuarded) return vote("yes");
  if (isNew) return vote("unknown");
  if (reply.guard !== "armed") return vote("unarmed");
  return reply.quarantine === 0
    ? vote("yes")
    : { vote: "quarantined", quarantine: reply.quarantine };
}

function describeContent(
  node: string,
  content: Content | NodeError,
): SlotInspection["nodes"][number] {
  if (content instanceof Error) {
    const { failure, message } = content;
    return { node, state: failure, holder: undefined, expiresIn: undefined, cause: message };
  }
  const { holder, foreignType } = content;
  return {
    node,
    state: foreignType === undefined ? (holder === undefined ? "free" : "held") : "foreign",
    holder: holder && toHolder(holder),
    expiresIn: holder === undefined || holder.expiresIn < 0 ? undefined : holder.expiresIn,
    cause: foreignType && `a ${foreignType}`,
  };
}

function isAnswer(state: NodeInspection["state"]): boolean {
  return state === "free" || state === "held" || state === "foreign";
}

function holderOfQuorum(
  contents: readonly (Content | NodeError)[],
  quorum: number,
  slot: number | undefined,
): Holder | undefined {
  const holders = contents.flatMap((content) =>
    content instanceof Error || content.holder === undefined ? [] : [content.holder],
  );
  const winner = holders.find(
    ({ id }) => holders.filter((other) => other.id === id).length >= quorum,
  );
  // A master that the release did not reach does not know that the holder is done.
  const kept = holders.some((other) => other.id === winner?.id && other.kept);
  return winner && toHolder({ ...winner, kept }, slot);
}
