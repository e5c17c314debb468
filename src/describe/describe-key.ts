import { count } from "../sentences.ts";
import { describeHolder, type Holder } from "../errors.ts";
import { printable } from "../printable.ts";
import { storedTextOf } from "../redlock/holder.ts";
import { readHoldingJob } from "../redlock/job-text.ts";
import type { KeyReservation, WaiterInspection } from "../redlock/inspect.ts";
import type { NodeInspection } from "../redlock/inspect-slots.ts";
import { advise } from "./advise.ts";
import {
  causeOf,
  hasAnswered,
  type HolderSummary,
  isForgetful,
  isTaken,
  type KeySummary,
} from "./summary.ts";
import { duration, moment, shellWord } from "./words.ts";

/** A part of the description of a key: a title above facts or sentences. */
export interface Section {
  readonly title: string;
  readonly facts: readonly (readonly [name: string, fact: string])[];
  readonly sentences: readonly string[];
}

/** One line that answers what state a key is in. */
export function headline(summary: KeySummary): string {
  const { state, quorum, voting, nodes } = summary;
  const states = {
    free: `is ${freeOr(summary)}`,
    unknown: "is held or free: NOT CERTAIN, too few masters answered",
    voteless: `is unavailable: ${voting} of ${count(nodes.length, "master")} can vote, a lock needs ${quorum}`,
    held: heldBy(summary),
    unclear: `is unavailable: no ${quorum} masters name the same holder`,
    blocked: "is blocked: a value that is no lock, or never expires, is stored under it",
  };
  const isPart = summary.slots !== undefined && (state === "held" || state === "unclear");
  return `${printable(summary.key)} ${isPart ? `has ${slotsTaken(summary)}` : states[state]}`;
}

function heldBy(summary: KeySummary): string {
  const { age, holder } = summary;
  if (holder?.kept) return `is ${keptFor(summary)}`;
  const name = holderName(holder);
  return age === undefined ? `is held by ${name}` : `has been held for ${duration(age)} by ${name}`;
}

function freeOr({ reserved }: KeySummary): string {
  if (reserved === undefined) return "free";
  const state = reserved.forRetry ? "" : "free, and ";
  return `${state}${reservedFor(reserved)}, for another ${duration(reserved.expiresIn)} at most`;
}

function slotsTaken({ taken, limit }: KeySummary): string {
  return `${taken} of ${limit} slots taken`;
}

function keptFor({ job, holder, remaining }: KeySummary): string {
  const rest = remaining === undefined ? "a while" : `another ${duration(remaining)}`;
  return `kept by minHold for ${rest}; ${job === undefined ? holderName(holder) : "the job"} is done`;
}

/** Everything that is known about a key, section by section. */
export function describeKey(summary: KeySummary, prefix: string, now = Date.now()): Section[] {
  const sections =
    summary.state === "unknown"
      ? [waitingSection(summary, now), nodesSection(summary)]
      : [
          holderSection(summary),
          waitingSection(summary, now),
          nodesSection(summary),
          { title: "What to do", facts: [], sentences: advise(summary, prefix) },
        ];
  return sections.filter(({ facts, sentences }) => facts.length + sentences.length > 0);
}

/** Names the holder of a key in a few words. */
export function holderName(holder: Holder | undefined): string {
  const job = readHoldingJob(storedTextOf(holder));
  return job === undefined ? describeHolder(holder) : `job ${printable(job.job)}`;
}

/** Names the waiter that a free key is reserved for, as an entry of a list of keys. */
export function reservation(reserved: KeyReservation): string {
  return `(${reservedFor(reserved)})`;
}

function reservedFor(reserved: KeyReservation): string {
  const what = reserved.forRetry ? "kept for the next attempt of" : "reserved for";
  return `${what} ${waiterName(reserved)}`;
}

function waiterName({ job, holder = "" }: Pick<WaiterInspection, "job" | "holder">): string {
  if (job !== undefined) return `job ${printable(job)}`;
  return printable(holder) || "a program that waits in acquire";
}

/** Names the holder of a key, as an entry of a list of keys. */
export function holderOf(summary: KeySummary): string {
  const { nodes, holder, reserved } = summary;
  if (!isTaken(summary)) return reserved === undefined ? "(free)" : reservation(reserved);
  const foreign = nodes.find(({ state }) => state === "foreign");
  if (holder === undefined && foreign !== undefined) return describeForeign(foreign);
  if (holder === undefined) return "no holder has a quorum";
  const name = holder.kept ? `${holderName(holder)} (done; kept by minHold)` : holderName(holder);
  return summary.slots === undefined ? name : `${slotsTaken(summary)}, the oldest by ${name}`;
}

function holderSection(summary: KeySummary): Section {
  const { state, holder, holders, slots, lastToken } = summary;
  if (slots !== undefined && holders.length > 0) return holdersSection(summary);
  const [only] = holders;
  const facts: [string, string][] = [];
  if (only !== undefined && state !== "free" && state !== "voteless") {
    const { job, age } = only;
    if (job === undefined) facts.push(["holder", describeHolder(holder)]);
    else {
      facts.push(["job", `${printable(job.job)}, attempt ${job.attempt}`]);
      facts.push(["process", `${job.pid} on ${printable(job.host)}`]);
    }
    if (only.holder.since !== undefined && age !== undefined) {
      facts.push(["since", `${moment(only.holder.since)}, ${duration(age)} ago`]);
    }
    facts.push(["expires", describeExpiry(only)]);
    if (only.holder.fencingToken !== undefined)
      facts.push(["fencing token", String(only.holder.fencingToken)]);
  } else if (lastToken > 0) {
    facts.push(["last fencing token", `${lastToken}, of ${moment(lastToken / 1_000)}`]);
  }
  return { title: "Holder", facts, sentences: [] };
}

const MOST_HOLDERS = 20;

function holdersSection({ taken, limit, holders }: KeySummary): Section {
  const shown = holders.slice(0, MOST_HOLDERS);
  const more = holders.length - shown.length;
  return {
    title: `Holders (${taken} of ${limit})`,
    facts: shown.map((each) => [`slot ${each.holder.slot}`, describeHolderOfSlot(each)]),
    sentences: more > 0 ? [`... and ${more} more. All of them: bullmq-redlock inspect --json`] : [],
  };
}

function describeHolderOfSlot(summary: HolderSummary): string {
  const { job, age } = summary;
  const attempt = job === undefined ? "" : `, attempt ${job.attempt}`;
  const process = job === undefined ? "" : `, process ${job.pid} on ${printable(job.host)}`;
  const since = age === undefined ? "" : `, for ${duration(age)}`;
  const expiry =
    summary.remaining === undefined ? "never expires" : `expires ${describeExpiry(summary)}`;
  return `${holderName(summary.holder)}${attempt}${process}${since}; ${expiry}`;
}

function describeExpiry({ holder, remaining }: HolderSummary): string {
  if (remaining === undefined) return "never";
  return `in ${duration(remaining)}${holder.kept ? "" : ", unless the holder extends it"}`;
}

/** Describes a waiter in a few words. */
export function describeWaiter(waiter: WaiterInspection, now: number): string {
  const { job, priority, since } = waiter;
  return (
    waiterName(waiter) +
    (since === undefined ? "" : waitSince(job, Math.max(0, now - since))) +
    (priority === 0 ? "" : `, priority ${priority}`)
  );
}

/** A job is known by the time at which it was due in its queue; it may have waited for a worker first. */
function waitSince(job: string | undefined, ms: number): string {
  return job === undefined ? `, for ${duration(ms)}` : `, due ${duration(ms)} ago`;
}

function waitingSection({ key, waiting, waiters }: KeySummary, now: number): Section {
  const facts = waiters.map((waiter, index): [string, string] => [
    String(index + 1),
    describeWaiter(waiter, now),
  ]);
  const more = waiting - waiters.length;
  return {
    title: `Wait list (${waiting})`,
    facts,
    sentences:
      more > 0
        ? [`... and ${more} more. The whole list: bullmq-redlock waiters ${shellWord(key)}`]
        : [],
  };
}

function nodesSection({ nodes, holder, slots, limit, quorum }: KeySummary): Section {
  const describe = (node: NodeInspection, index: number): string => {
    if (slots === undefined || !hasAnswered(node)) return describeNode(node, holder);
    const taken = slots.filter((slot) => slot.nodes[index]?.state !== "free").length;
    return `${taken} of ${limit} slots taken`;
  };
  return {
    title: `Masters (a lock needs ${quorum} of ${nodes.length})`,
    facts: nodes.map((node, index) => [node.node, describe(node, index) + describeVote(node)]),
    sentences: [],
  };
}

function describeNode(node: NodeInspection, winner: Holder | undefined): string {
  const { state, holder, expiresIn } = node;
  if (state === "free") return "free";
  if (state === "foreign") return describeForeign(node);
  const cause = causeOf(node);
  if (cause !== undefined) return `NO ANSWER: ${printable(cause)}`;
  const expiry = expiresIn === undefined ? "never expires" : `expires in ${duration(expiresIn)}`;
  const [verb, preposition] = holder?.kept ? ["kept", "after"] : ["held", "by"];
  const isWinner = winner !== undefined && holder?.fencingToken === winner.fencingToken;
  return isWinner
    ? `${verb}, ${expiry}`
    : `${verb} ${preposition} ${describeHolder(holder)}, ${expiry}`;
}

function describeForeign({ cause }: NodeInspection): string {
  return `not a lock but ${cause ?? "another value"}`;
}

function describeVote(node: NodeInspection): string {
  if (!isForgetful(node)) return "";
  const { quarantine } = node;
  const until = quarantine === undefined ? "" : `; can vote in ${duration(quarantine)}`;
  return `; cannot vote: new, or lost its memory${until}`;
}
