import type { Holder } from "../errors.ts";
import { explainVote, isAnswer, isBarred } from "../sentences.ts";
import { storedTextOf } from "../redlock/holder.ts";
import { type HoldingJob, readHoldingJob } from "../redlock/job-text.ts";
import type { KeyInspection } from "../redlock/inspect.ts";
import { type NodeInspection, nodesOf, type SlotInspection } from "../redlock/inspect-slots.ts";

/** A holder, summed up over the answers of all masters. Durations are milliseconds. */
export interface HolderSummary {
  readonly holder: Holder;
  /** The holder, when it is a job. */
  readonly job: HoldingJob | undefined;
  /** How long it has held the key, by its clock and that of this process. */
  readonly age: number | undefined;
  /** When its lock expires if it stops extending it. */
  readonly remaining: number | undefined;
  /** The number of masters on which it has the key. */
  readonly heldBy: number;
}

/** What the masters know about a key. */
type Inspected = Pick<
  KeyInspection,
  "key" | "limit" | "holder" | "reserved" | "quorum" | "waiting" | "waiters" | "nodes" | "slots"
>;

/** The state of a key, summed up over the answers of all masters. Durations are milliseconds. */
export interface KeySummary extends Inspected, Omit<HolderSummary, "holder"> {
  /**
   * - `"held"`: a quorum names one holder, at least one where the key has a limit;
   * - `"unclear"`: the key is taken, but no quorum names one holder: several clients contend, or masters are silent;
   * - `"blocked"`: so many masters store a foreign or everlasting value under the key that the others are no quorum;
   * - `"unknown"`: too few masters answered, so nothing the others know is certain;
   * - `"voteless"`: the key is free, but too few masters can vote;
   * - `"free"`: the next client that asks acquires the key, or the one for which it is `reserved`.
   */
  readonly state: "held" | "unclear" | "blocked" | "unknown" | "voteless" | "free";
  /** How many of its slots are taken; `undefined` in the state `"unknown"`. */
  readonly taken: number | undefined;
  /** All holders, the oldest first: that is `holder`, and the age and more are about it. */
  readonly holders: readonly HolderSummary[];
  /** The highest fencing token that any master knows for the key, of its slot 0 where it has a limit; 0 for none. */
  readonly lastToken: number;
  /** The number of masters that can vote now. */
  readonly voting: number;
  /** When a quorum can vote if no further master fails; `undefined` when it can now, and when that is unknown. */
  readonly quorumIn: number | undefined;
}

/** Whether a master stores a value under the key that neither a release nor a ttl removes. */
export function isStuck({
  state,
  expiresIn,
}: Pick<NodeInspection, "state" | "expiresIn">): boolean {
  return state === "foreign" || (state === "held" && expiresIn === undefined);
}

/** The key, or each of its slots that is not free. */
export function placesOf({ nodes, slots }: Pick<KeySummary, "nodes" | "slots">): readonly {
  readonly slot: number;
  readonly nodes: readonly SlotInspection["nodes"][number][];
}[] {
  return slots ?? [{ slot: 0, nodes }];
}

/** Whether a master stores such a value under the key or one of its slots. */
export function hasStuck(summary: Pick<KeySummary, "nodes" | "slots">): boolean {
  return placesOf(summary).some(({ nodes }) => nodes.some(isStuck));
}

/** Whether a master answered. */
export function hasAnswered({ state }: NodeInspection): boolean {
  return isAnswer(state);
}

/** Why a master did not answer; `undefined` when it did. */
export function causeOf({ state, cause }: NodeInspection): string | undefined {
  return isAnswer(state) ? undefined : explainVote({ vote: state, cause });
}

/** Whether a master cannot vote because it lost its memory, or is new. */
export function isForgetful({ vote }: NodeInspection): boolean {
  return isBarred(vote);
}

/** Whether the key is not free: a client holds it, or a value blocks it. */
export function isTaken({ state }: Pick<KeySummary, "state">): boolean {
  return state !== "free" && state !== "voteless";
}

/** The names of the masters with a property. */
export function nodesThat(
  { nodes }: Pick<KeySummary, "nodes">,
  test: (node: NodeInspection) => boolean,
): string[] {
  return nodes.filter(test).map(({ node }) => node);
}

const NO_HOLDER = {
  holder: undefined,
  job: undefined,
  age: undefined,
  remaining: undefined,
  heldBy: 0,
};

/** Sums up an inspection. `now` is milliseconds since 1970. */
export function summarise(inspection: KeyInspection, now: number): KeySummary {
  const { key, limit, locked, slots, reserved, quorum, waiting, waiters, nodes } = inspection;
  const voting = nodes.filter((node) => hasAnswered(node) && !isForgetful(node)).length;
  const taken = slots === undefined ? Number(locked) : slots.filter((slot) => slot.locked).length;
  const holders = inspection.holders.map((holder) => {
    return summariseHolder(holder, nodesOf(inspection, holder), quorum, now);
  });
  const [oldest = NO_HOLDER] = holders;
  const state = stateOf(inspection, taken, voting);
  return {
    key,
    state,
    limit,
    taken: state === "unknown" ? undefined : taken,
    holders,
    ...oldest,
    reserved,
    lastToken: Math.max(0, ...nodes.map(({ mark }) => mark)),
    quorum,
    voting,
    quorumIn: quorumIn(nodes.map(untilVote), quorum),
    waiting,
    waiters,
    nodes,
    ...(slots === undefined ? {} : { slots }),
  };
}

function summariseHolder(
  holder: Holder,
  nodes: SlotInspection["nodes"],
  quorum: number,
  now: number,
): HolderSummary {
  const own = nodes.filter((node) => node.state === "held" && isSame(node.holder, holder));
  const ends = own.map(({ expiresIn }) => expiresIn ?? Infinity).sort((a, b) => b - a);
  const remaining = ends[quorum - 1];
  return {
    holder,
    job: readHoldingJob(storedTextOf(holder)),
    age: holder.since === undefined ? undefined : Math.max(0, now - holder.since),
    remaining: remaining === Infinity ? undefined : remaining,
    heldBy: own.length,
  };
}

function stateOf(
  { slots, holder, quorum, nodes }: KeyInspection,
  taken: number,
  voting: number,
): KeySummary["state"] {
  if (nodes.filter(hasAnswered).length < quorum) return "unknown";
  const blocked = nodes.filter(isStuck).length > nodes.length - quorum;
  if (blocked && slots === undefined) return "blocked";
  if (taken > 0) return holder === undefined ? "unclear" : "held";
  return voting < quorum ? "voteless" : "free";
}

/** Milliseconds until a master can vote: 0 for now, Infinity for unknown. */
function untilVote(node: NodeInspection): number {
  return hasAnswered(node) && !isForgetful(node) ? 0 : (node.quarantine ?? Infinity);
}

/** When a quorum can vote, by the times until each master can; `undefined` for now, and for unknown. */
export function quorumIn(waits: readonly number[], quorum: number): number | undefined {
  const wait = waits.toSorted((a, b) => a - b)[quorum - 1] ?? Infinity;
  return wait === 0 || wait === Infinity ? undefined : wait;
}

function isSame(holder: Holder | undefined, other: Holder | undefined): boolean {
  return holder?.fencingToken === other?.fencingToken && holder?.text === other?.text;
}
