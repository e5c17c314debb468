import type { Holder } from "../errors.ts";
import { type HoldingJob, readHoldingJob, storedTextOf } from "../redlock/holder.ts";
import type { KeyInspection, NodeInspection, WaiterInspection } from "../redlock/inspect.ts";

/** What the answers of the masters about a key come to. Durations are milliseconds. */
export interface KeySummary {
  readonly key: string;
  /**
   * - `"held"`: a quorum names one holder;
   * - `"unclear"`: nobody can get it, but no quorum names one holder: several contend, or masters do not answer;
   * - `"blocked"`: on so many masters is something that is no lock, or never ends, that the rest is no quorum;
   * - `"unknown"`: too few masters answered: what the others know is not certain;
   * - `"voteless"`: nobody holds it and nobody can get it, because too few masters give a vote now;
   * - `"free"`: whoever asks gets it.
   */
  readonly state: "held" | "unclear" | "blocked" | "unknown" | "voteless" | "free";
  readonly holder: Holder | undefined;
  /** The holder, when it is a job. */
  readonly job: HoldingJob | undefined;
  /** For how long the key is held, by the clock of the holder and ours. */
  readonly age: number | undefined;
  /** When the key ends if nobody extends it any more. */
  readonly remaining: number | undefined;
  /** On how many masters the holder has it. */
  readonly heldBy: number;
  /** The highest fencing token that any master knows for the key; 0 when none. */
  readonly lastToken: number;
  readonly quorum: number;
  /** How many masters give a vote now, as far as they can tell. */
  readonly voting: number;
  /** When a quorum votes if nothing else happens; `undefined` when it does, and when that is not known. */
  readonly quorumIn: number | undefined;
  /** How many are in line, and the first of them. */
  readonly waiting: number;
  readonly waiters: readonly WaiterInspection[];
  readonly nodes: readonly NodeInspection[];
}

/** Whether a value is in the way of a key that no release and no end of time takes away. */
export function isStuck({ state, expiresIn }: NodeInspection): boolean {
  return state === "foreign" || (state === "held" && expiresIn === undefined);
}

/** Whether a master answered. */
export function isAnswer({ state }: NodeInspection): boolean {
  return state === "free" || state === "held" || state === "foreign";
}

/** Whether a master lost its memory, and gives no vote. */
export function isForgetful({ vote }: NodeInspection): boolean {
  return vote === "quarantined" || vote === "unarmed";
}

/** Sums up what the masters say about a key. `now` is milliseconds since 1970. */
export function summarise(inspection: KeyInspection, now: number): KeySummary {
  const { key, holder, quorum, waiting, waiters, nodes } = inspection;
  const own = nodes.filter((node) => node.state === "held" && isSame(node.holder, holder));
  const ends = own.map(({ expiresIn }) => expiresIn ?? Infinity).sort((a, b) => b - a);
  const remaining = holder === undefined ? undefined : ends[quorum - 1];
  const voting = nodes.filter((node) => isAnswer(node) && !isForgetful(node)).length;
  return {
    key,
    state: stateOf(inspection, voting),
    holder,
    job: readHoldingJob(storedTextOf(holder)),
    age: holder?.since === undefined ? undefined : Math.max(0, now - holder.since),
    remaining: remaining === Infinity ? undefined : remaining,
    heldBy: holder === undefined ? 0 : own.length,
    lastToken: Math.max(0, ...nodes.map(({ mark }) => mark)),
    quorum,
    voting,
    quorumIn: quorumIn(nodes.map(waitFor), quorum),
    waiting,
    waiters,
    nodes,
  };
}

function stateOf(
  { locked, holder, quorum, nodes }: KeyInspection,
  voting: number,
): KeySummary["state"] {
  if (nodes.filter(isAnswer).length < quorum) return "unknown";
  if (nodes.filter(isStuck).length > nodes.length - quorum) return "blocked";
  if (locked) return holder === undefined ? "unclear" : "held";
  return voting < quorum ? "voteless" : "free";
}

/** For how long a master gives no vote: 0 when it does, Infinity when nobody knows. */
function waitFor(node: NodeInspection): number {
  return isAnswer(node) && !isForgetful(node) ? 0 : (node.quarantine ?? Infinity);
}

/** When a quorum votes, by how long each master gives no vote; `undefined` when it does, and when nobody knows. */
export function quorumIn(waits: readonly number[], quorum: number): number | undefined {
  const wait = waits.toSorted((a, b) => a - b)[quorum - 1] ?? Infinity;
  return wait === 0 || wait === Infinity ? undefined : wait;
}

function isSame(holder: Holder | undefined, other: Holder | undefined): boolean {
  return holder?.fencingToken === other?.fencingToken && holder?.text === other?.text;
}
