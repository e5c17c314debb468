import type { Holder } from "../errors.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { namedByQuorum } from "../lock/quorum.ts";
import type { Content } from "../lock/read-operation.ts";
import { readSlotsOperation } from "../lock/read-slots-operation.ts";
import type { NodeError, NodeFailure } from "../redis/node-error.ts";
import { toHolder } from "./holder.ts";

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
  /** The highest fencing token this master knows for the key, of its slot 0 where it has a limit; 0 when none. */
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

/** A slot of a key with a limit that some master does not report as free. */
export interface SlotInspection {
  /** From 0. */
  slot: number;
  /** True when so many masters hold the slot that no other client can get it now. */
  locked: boolean;
  /** The holder that a quorum names. */
  holder: Holder | undefined;
  /** What each master knows about the slot. */
  nodes: Omit<NodeInspection, "mark" | "vote" | "quarantine">[];
}

/** The slots that are not free on every master. */
export async function surveySlots(
  context: LockContext,
  key: string,
  count: number,
): Promise<SlotInspection[]> {
  const { masters, names } = context;
  const replies = await masters.gatherAll(readSlotsOperation, { names, key, count });
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

/** What each master knows about what a holder has: the key, or a slot of it. */
export function nodesOf(
  { nodes, slots = [] }: { nodes: SlotInspection["nodes"]; slots?: SlotInspection[] },
  holder: Holder,
): SlotInspection["nodes"] {
  return slots.find(({ slot }) => slot === holder.slot)?.nodes ?? nodes;
}

const EMPTY: Content = { holder: undefined, foreignType: undefined };

/** Judges what the masters store in a slot. @param isNumbered whether the holder shows its slot. */
export function inspectSlot(
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

/** A lock that a master accepted in quarantine is no vote, unless other masters name the same holder. */
export function withoutAttempts<C extends Content>(
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

/** Describes what one master stores. */
export function describeContent(
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

function holderOfQuorum(
  contents: readonly (Content | NodeError)[],
  quorum: number,
  slot: number | undefined,
): Holder | undefined {
  const holders = contents.flatMap((content) =>
    content instanceof Error || content.holder === undefined ? [] : [content.holder],
  );
  const winner = namedByQuorum(holders, quorum, (a, b) => a.id === b.id);
  // A master that the release did not reach does not know that the holder is done.
  const kept = holders.some((other) => other.id === winner?.id && other.kept);
  return winner && toHolder({ ...winner, kept }, slot);
}
