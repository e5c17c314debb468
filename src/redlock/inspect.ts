import { type Holder, LockUnavailableError, type NodeVote } from "../errors.ts";
import { parsePosition } from "../waiters/waiter.ts";
import type { LockContext } from "../lock/lock-context.ts";
import type { Masters } from "../lock/masters.ts";
import { type Reading, readOperation, type ReadReply } from "../lock/read-operation.ts";
import type { Names } from "../lock/stored-lock.ts";
import type { NodeError, NodeFailure } from "../redis/node-error.ts";
import { toHolder } from "./holder.ts";

/** What one master knows about a key. */
export interface NodeInspection {
  /** `host:port`. */
  node: string;
  /** `foreign`: something that is no lock is stored under the key. Else why the master did not answer. */
  state: "free" | "held" | "foreign" | NodeFailure;
  /** Who holds the key on this master. */
  holder: Holder | undefined;
  /** Milliseconds until the key expires on this master if nobody extends it; `undefined` when it does not. */
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

/** Somebody in line for a key. */
export interface WaiterInspection {
  /** A job, as `prefix:queue:id`; `undefined` for a program that waits in `acquire`. */
  job: string | undefined;
  /** Smaller comes first. */
  priority: number;
  /** When the job was to run, or the wait began, in milliseconds since 1970 by the clock of who waits. */
  since: number | undefined;
}

/** What the masters know about a key. */
export interface KeyInspection {
  key: string;
  /** True when so many masters hold the key that nobody else can get it now. */
  locked: boolean;
  /** The holder that a quorum names. */
  holder: Holder | undefined;
  quorum: number;
  /** How many are in line for the key, by the master that knows most of them. */
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
  const inspection = await lookAtKey(context, key);
  const unavailable = unavailability(inspection, context.nodeTimeout);
  if (unavailable !== undefined) throw unavailable;
  return inspection;
}

/** Why the answers about a key are too few to be certain of anything; `undefined` when a quorum answered. */
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

/** As {@link inspectKey}, but tells what there is, however few masters answer: nothing of it is certain then. */
export async function lookAtKey(
  { masters, names, guards }: LockContext,
  key: string,
): Promise<KeyInspection> {
  const replies = withoutAttempts(await readEverywhere(masters, names, key));
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
    ...lineOf(replies),
    nodes,
  };
}

/** The longest of the lines: a master that was away has not heard of all who wait. */
function lineOf(
  replies: readonly (ReadReply | NodeError)[],
): Pick<KeyInspection, "waiting" | "waiters"> {
  const lines = replies.flatMap((reply) => (reply instanceof Error ? [] : [reply]));
  const [longest] = lines.toSorted((a, b) => b.waiting - a.waiting);
  return { waiting: longest?.waiting ?? 0, waiters: (longest?.first ?? []).map(toWaiter) };
}

function toWaiter({ position, priority }: ReadReply["first"][number]): WaiterInspection {
  const { since, queueId = "", id = "" } = parsePosition(position) ?? {};
  const queue = queueId.startsWith("~") ? undefined : queueId.slice(queueId.indexOf(" ") + 1);
  return { job: queue === undefined ? undefined : `${queue}:${id}`, priority, since };
}

/** How many in line are read at once: well below a millisecond of a master's time. */
const PAGE = 500;

/**
 * Goes through all who are in line for a key, by the master that knows most of them. What comes or goes meanwhile may be missed.
 * @throws {LockUnavailableError} when no quorum answers.
 */
export async function* walkWaiters(
  context: LockContext,
  key: string,
): AsyncGenerator<WaiterInspection, void, void> {
  const { masters, names } = context;
  const seen = new Set<string>();
  for (let from = 0; ; from += PAGE) {
    const replies = await readEverywhere(masters, names, key, { from, count: PAGE });
    const lines = replies.flatMap((reply) => (reply instanceof Error ? [] : [reply]));
    // Who is missing is told by a look that describes each master.
    if (lines.length < masters.quorum) await inspectKey(context, key);
    const [longest] = lines.toSorted((a, b) => b.waiting - a.waiting);
    for (const waiter of longest?.first ?? []) {
      // Those before it may have left since the last page, or others have come between.
      if (!seen.has(waiter.position)) yield toWaiter(waiter);
      seen.add(waiter.position);
    }
    if ((longest?.first.length ?? 0) < PAGE) return;
  }
}

function readEverywhere(
  masters: Masters,
  names: Names,
  key: string,
  page: Pick<Reading, "from" | "count"> = {},
): Promise<(ReadReply | NodeError)[]> {
  const replies: (ReadReply | NodeError)[] = [];
  return new Promise((resolve) => {
    masters.gather(readOperation, { names, key, ...page }, (node, reply, open) => {
      replies[node] = reply;
      if (open === 0) resolve(replies);
    });
  });
}

/** What a master has accepted in quarantine is a vote for nobody, unless it is for one that other masters name too. */
function withoutAttempts(
  replies: readonly (ReadReply | NodeError)[],
): readonly (ReadReply | NodeError)[] {
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
 * @param isGuarded whether votes look at the guards.
 * @param isNew whether no master has one.
 */
function voteOf(
  reply: ReadReply | NodeError,
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

function describeNode(
  node: string,
  reply: ReadReply | NodeError,
): Omit<NodeInspection, "vote" | "quarantine"> {
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

function holderOfQuorum(
  replies: readonly (ReadReply | NodeError)[],
  quorum: number,
): Holder | undefined {
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
