import { type Holder, LockUnavailableError, type NodeVote } from "../errors.ts";
import { FRONT } from "../waiters/move-operation.ts";
import { parsePosition } from "../waiters/waiter.ts";
import type { LockContext } from "../lock/lock-context.ts";
import type { ReadReply } from "../lock/read-operation.ts";
import type { NodeFailure } from "../redis/node-error.ts";
import { toHolder } from "./holder.ts";
import { type KeyReply, longestList, readKey } from "./read-key.ts";

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

/** What the masters know about a key. */
export interface KeyInspection {
  key: string;
  /** True when so many masters hold the key that no other client can get it now. */
  locked: boolean;
  /** The holder that a quorum names. */
  holder: Holder | undefined;
  quorum: number;
  /** How many wait for the key, by the master that knows most of them. */
  waiting: number;
  /** The first 20 of them, in order. */
  waiters: WaiterInspection[];
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
    ...describeNode(masters.names[index] ?? "", reply),
    ...voteOf(reply, guards.enabled, isNew),
  }));
  return {
    key,
    locked: nodes.filter(({ state }) => state === "free").length < masters.quorum,
    holder: holderOfQuorum(replies, masters.quorum),
    quorum: masters.quorum,
    waiting: list?.waiting ?? 0,
    waiters: (list?.first ?? []).map(toWaiter),
    nodes,
  };
}

/** Describes an entry of a wait list. */
export function toWaiter({ position, priority }: ReadReply["first"][number]): WaiterInspection {
  const { since, queueId = "", id = "" } = parsePosition(position) ?? {};
  const queue = queueId.startsWith("~") ? undefined : queueId.slice(queueId.indexOf(" ") + 1);
  const job = queue === undefined ? undefined : `${queue}:${id}`;
  return { job, priority: Math.floor(priority + FRONT), since };
}

/** A lock that a master accepted in quarantine is no vote, unless other masters name the same holder. */
function withoutAttempts(replies: readonly KeyReply[]): readonly KeyReply[] {
  const holding = new Set<string>();
  for (const reply of replies) {
    if (reply instanceof Error || reply.holder?.provisional) continue;
    if (reply.holder !== undefined) holding.add(reply.holder.id);
  }
  return replies.map((reply) => {
    if (reply instanceof Error || !reply.holder?.provisional) return reply;
    return holding.has(reply.holder.id) ? reply : { ...reply, holder: undefined };
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

function describeNode(node: string, reply: KeyReply): Omit<NodeInspection, "vote" | "quarantine"> {
  if (reply instanceof Error) {
    const { failure, message } = reply;
    return {
      node,
      state: failure,
      holder: undefined,
      expiresIn: undefined,
      mark: 0,
      cause: message,
    };
  }
  const { holder, foreignType, mark } = reply;
  return {
    node,
    state: foreignType === undefined ? (holder === undefined ? "free" : "held") : "foreign",
    holder: holder && toHolder(holder),
    expiresIn: holder === undefined || holder.expiresIn < 0 ? undefined : holder.expiresIn,
    mark,
    cause: foreignType && `a ${foreignType}`,
  };
}

function isAnswer(state: NodeInspection["state"]): boolean {
  return state === "free" || state === "held" || state === "foreign";
}

function holderOfQuorum(replies: readonly KeyReply[], quorum: number): Holder | undefined {
  const holders = replies.flatMap((reply) =>
    reply instanceof Error || reply.holder === undefined ? [] : [reply.holder],
  );
  const winner = holders.find(
    ({ id }) => holders.filter((other) => other.id === id).length >= quorum,
  );
  // A master that the release did not reach does not know that the holder is done.
  const kept = holders.some((other) => other.id === winner?.id && other.kept);
  return winner && toHolder({ ...winner, kept });
}
