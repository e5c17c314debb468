import type { Holder } from "../errors.ts";
import type { NodeInspection, WaiterInspection } from "../redlock/inspect.ts";
import { advise } from "./advise.ts";
import type { KeySummary } from "./summary.ts";
import { printable } from "../printable.ts";
import { count, duration, moment } from "./words.ts";
import { describeHolder, explainVote } from "../sentences.ts";

/** A part of what is said about a key: a title, and lines that are facts or sentences. */
export interface Section {
  readonly title: string;
  readonly facts: readonly (readonly [name: string, fact: string])[];
  readonly sentences: readonly string[];
}

/** The one line that answers who holds a key. */
export function headline(summary: KeySummary): string {
  const { state, age, quorum, voting, nodes, holder } = summary;
  const held = age === undefined ? "" : `, for ${duration(age)}`;
  const said = {
    free: "free",
    unknown:
      "perhaps held, perhaps free: what follows is NOT CERTAIN, since too few masters answered",
    voteless: `not to be had now: ${voting} of ${count(nodes.length, "master")} can vote, a lock needs ${quorum}`,
    held: holder?.kept ? keptFor(summary) : `held by ${who(summary)}${held}`,
    unclear: `not to be had now, and no ${quorum} masters name the same holder`,
    blocked: "blocked: something is stored there that does not go away by itself",
  };
  return `${printable(summary.key)} is ${said[state]}`;
}

/** That a key is kept although its holder is done, and for how long. */
function keptFor(summary: KeySummary): string {
  const { job, remaining } = summary;
  const rest = remaining === undefined ? "a while" : `another ${duration(remaining)}`;
  return `kept by minHold for ${rest}; ${job === undefined ? who(summary) : "the job"} is done`;
}

/** Everything that is known about a key, part by part. */
export function describeKey(summary: KeySummary, prefix: string, now = Date.now()): Section[] {
  if (summary.state === "unknown")
    return [waitingSection(summary, now), nodesSection(summary)].filter(hasContent);
  return [
    holderSection(summary),
    waitingSection(summary, now),
    nodesSection(summary),
    { title: "What to do", facts: [], sentences: advise(summary, prefix) },
  ].filter(hasContent);
}

function hasContent({ facts, sentences }: Section): boolean {
  return facts.length + sentences.length > 0;
}

/** Who holds a key, in a few words. */
export function who({ job, holder }: Pick<KeySummary, "job" | "holder">): string {
  return job === undefined ? describeHolder(holder) : `job ${printable(job.job)}`;
}

function holderSection({ state, job, holder, age, remaining, lastToken }: KeySummary): Section {
  const facts: [string, string][] = [];
  if (holder !== undefined && state !== "free" && state !== "voteless") {
    if (job === undefined) facts.push(["holder", describeHolder(holder)]);
    else {
      facts.push(["job", `${printable(job.job)}, attempt ${job.attempt}`]);
      facts.push(["process", `${job.pid} on ${printable(job.host)}`]);
    }
    if (holder.since !== undefined && age !== undefined) {
      facts.push(["since", `${moment(holder.since)}, ${duration(age)} ago`]);
    }
    facts.push([
      "ends",
      remaining === undefined
        ? "never by itself"
        : `in ${duration(remaining)}${holder.kept ? "" : ", unless the holder extends it"}`,
    ]);
    if (holder.fencingToken !== undefined)
      facts.push(["fencing token", String(holder.fencingToken)]);
  } else if (lastToken > 0) {
    facts.push(["last fencing token", `${lastToken}, of ${moment(lastToken / 1_000)}`]);
  }
  return { title: "Holder", facts, sentences: [] };
}

/** Who waits, in a few words. */
export function describeWaiter({ job, priority, since }: WaiterInspection, now: number): string {
  return (
    (job === undefined ? "a program that waits in acquire" : `job ${printable(job)}`) +
    (since === undefined ? "" : `, for ${duration(Math.max(0, now - since))}`) +
    (priority === 0 ? "" : `, priority ${priority}`)
  );
}

function waitingSection({ waiting, waiters }: KeySummary, now: number): Section {
  const facts = waiters.map((waiter, index): [string, string] => [
    String(index + 1),
    describeWaiter(waiter, now),
  ]);
  const more = waiting - waiters.length;
  return {
    title: `In line (${waiting})`,
    facts,
    sentences: more > 0 ? [`... and ${more} more; all of them shows: bullmq-redlock waiters`] : [],
  };
}

function nodesSection({ nodes, holder, quorum }: KeySummary): Section {
  return {
    title: `Masters (a lock needs ${quorum} of ${nodes.length})`,
    facts: nodes.map((node) => [node.node, describeNode(node, holder) + describeVote(node)]),
    sentences: [],
  };
}

function describeNode(node: NodeInspection, winner: Holder | undefined): string {
  const { state, holder, expiresIn, cause } = node;
  if (state === "free") return "free";
  if (state === "foreign") return describeForeign(node);
  if (state === "held") {
    const ends = expiresIn === undefined ? "never ends" : `ends in ${duration(expiresIn)}`;
    const isWinner = winner !== undefined && holder?.fencingToken === winner.fencingToken;
    const kept = holder?.kept ? "kept" : "held";
    if (isWinner) return `${kept}, ${ends}`;
    const whose = holder?.kept ? "after" : "by";
    return `${kept} ${whose} ${describeHolder(holder)}, ${ends}`;
  }
  return `NO ANSWER: ${printable(explainVote({ vote: state, cause }))}`;
}

/** What is under a key that is no lock. */
export function describeForeign({ cause }: NodeInspection): string {
  return `no lock, but ${cause ?? "something else"}`;
}

function describeVote({ vote, quarantine }: NodeInspection): string {
  if (vote === "quarantined") {
    return `; gives no vote, it is new or lost its memory; votes in ${duration(quarantine ?? 0)}`;
  }
  return vote === "unarmed" ? "; gives no vote, it is new or lost its memory" : "";
}
