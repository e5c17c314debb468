import { describeHolder, type Holder } from "../errors.ts";
import type { NodeInspection } from "../redlock/inspect.ts";
import { isAnswer, isForgetful, isStuck, type KeySummary } from "./summary.ts";
import { count, duration, list, moment, printable, shellQuoted, shellWord } from "./words.ts";

/** What is to be known to say who votes. */
export type VoteSummary = Pick<KeySummary, "nodes" | "quorum" | "voting" | "quorumIn">;

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
export function describeKey(summary: KeySummary, keyPrefix: string, now = Date.now()): Section[] {
  if (summary.state === "unknown")
    return [waitingSection(summary, now), nodesSection(summary)].filter(hasContent);
  return [
    holderSection(summary),
    waitingSection(summary, now),
    nodesSection(summary),
    adviceSection(summary, keyPrefix),
  ].filter(hasContent);
}

function hasContent({ facts, sentences }: Section): boolean {
  return facts.length + sentences.length > 0;
}

/** Who holds a key, in a few words. */
export function who({ job, holder }: Pick<KeySummary, "job" | "holder">): string {
  return job === undefined ? printable(describeHolder(holder)) : `job ${printable(job.job)}`;
}

function holderSection({ state, job, holder, age, remaining, lastToken }: KeySummary): Section {
  const facts: [string, string][] = [];
  if (holder !== undefined && state !== "free" && state !== "voteless") {
    if (job === undefined) facts.push(["holder", printable(describeHolder(holder))]);
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

function waitingSection({ waiting, waiters }: KeySummary, now: number): Section {
  const facts = waiters.map(({ job, priority, since }, index): [string, string] => [
    String(index + 1),
    (job === undefined ? "a program that waits in acquire" : `job ${printable(job)}`) +
      (since === undefined ? "" : `, for ${duration(Math.max(0, now - since))}`) +
      (priority === 0 ? "" : `, priority ${priority}`),
  ]);
  const more = waiting - waiters.length;
  return {
    title: `In line (${waiting})`,
    facts,
    sentences: more > 0 ? [`... and ${more} more.`] : [],
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
    return `${kept} ${whose} ${printable(describeHolder(holder))}, ${ends}`;
  }
  return `NO ANSWER: ${state}${cause === undefined ? "" : ` (${printable(cause)})`}`;
}

/** What is under a key that is no lock. */
export function describeForeign({ cause }: NodeInspection): string {
  return `no lock, but ${cause ?? "something else"}`;
}

function describeVote({ vote, quarantine }: NodeInspection): string {
  if (vote === "quarantined") {
    return `; gives no vote, it lost its memory; votes again in ${duration(quarantine ?? 0)}`;
  }
  return vote === "unarmed" ? "; gives no vote, it lost its memory" : "";
}

function adviceSection(summary: KeySummary, keyPrefix: string): Section {
  const sentences = [
    ...advise(summary, keyPrefix),
    ...aboutVotes(summary),
    ...aboutStuck(summary, keyPrefix),
    ...aboutSilent(summary),
  ];
  return { title: "What to do", facts: [], sentences };
}

function advise(summary: KeySummary, keyPrefix: string): string[] {
  const { state, nodes, holder, job, remaining, lastToken, waiting, waiters } = summary;
  const stored = `${keyPrefix}${printable(summary.key)}`;
  if (state === "unclear") {
    return [
      "Ask again in a moment: contenders that got too few masters give back, and what they forget ends by itself.",
    ];
  }
  if (state === "blocked" || state === "voteless") return [];
  if (state === "free" && nodes.some((node) => node.state === "held" && !isStuck(node))) {
    return [
      "Nothing: what is left on a minority of the masters keeps nobody out, and ends by itself.",
    ];
  }
  if (state === "free" && waiting > 0) {
    const [first] = waiters;
    const [pronoun, one] =
      waiting === 1 ? ["it", "One is"] : ["the first of them", `${waiting} are`];
    return [
      `${one} in line although nobody holds the key: ${pronoun} is called within seconds. Ask again in a moment.`,
      first?.job === undefined
        ? "If it stays so, the program that waits first may be gone; it is then passed over."
        : `If it stays so, see whether workers of the queue of ${printable(first.job)} run, and whether that queue is paused or full.`,
    ];
  }
  if (state === "free") {
    const { key } = summary;
    if (lastToken === 0 && key.startsWith(keyPrefix) && key !== keyPrefix) {
      const meant = shellWord(key.slice(keyPrefix.length));
      return [`Keys are given without the prefix: bullmq-redlock inspect ${meant}`];
    }
    return lastToken > 0
      ? []
      : [
          "Nobody has held it in the last hour. Is it written as a rule makes it, with a space as %20? That says: bullmq-redlock check-config --job FILE",
        ];
  }
  const end = remaining === undefined ? "soon" : `within ${duration(remaining)}`;
  if (holder?.kept) {
    return [
      `Nothing: the ${job === undefined ? "holder" : "job"} is done, and the key is free ${end} by itself.`,
    ];
  }
  if (holder?.fencingToken === undefined) {
    return [
      `Another program has stored the lock, not this library: ask it. If it is gone, the key is free ${end}.`,
    ];
  }
  return [
    `Nothing, while ${job === undefined ? "the holder" : "the job"} works: the key is given back when it ends.`,
    `If its process is gone, the key is free ${end} by itself.`,
    job === undefined
      ? "If it hangs, end its process; the key is then free by itself."
      : `If it hangs, end process ${job.pid} on ${printable(job.host)} (kill ${job.pid} there); the key is then free by itself, and BullMQ runs the job again.`,
    `Do not delete ${stored} on the masters: its holder would work on, and the next one beside it.`,
  ];
}

/** What to do when masters give no vote because they lost their memory. */
export function aboutVotes({ nodes, quorum, voting, quorumIn }: VoteSummary): string[] {
  const forgetful = nodes.filter(isForgetful);
  const unarmed = forgetful.filter(({ vote }) => vote === "unarmed").map(({ node }) => node);
  const begin =
    unarmed.length === 0
      ? []
      : [
          `The wait of ${list(unarmed)} begins when a client asks for a lock, or with: bullmq-redlock doctor`,
        ];
  if (voting >= quorum) {
    if (forgetful.length > 0) {
      const names = list(forgetful.map(({ node }) => node));
      return [`Nothing about ${names}: the others are a quorum, and vote.`, ...begin];
    }
    if (nodes.some(({ vote }) => vote === "yes")) return [];
    return [
      "No master has a guard yet: nobody has used these masters, or all of them lost their memory. Who asks first may have to wait for a while; for how long says: bullmq-redlock doctor",
    ];
  }
  const silent = nodes.filter((node) => !isAnswer(node)).map(({ node }) => node);
  const reason =
    forgetful.length > 0 ? ", after a loss of memory not before all it forgot is over" : "";
  const wait =
    quorumIn === undefined
      ? "Nobody gets a lock"
      : `Wait ${duration(quorumIn)}, it then goes on by itself: nobody gets a lock`;
  return [
    `${wait} while fewer than ${quorum} masters give a vote${reason}. Keys that are held stay with their holders.`,
    ...begin,
    ...(silent.length === 0 ? [] : [`Or bring back ${list(silent)}.`]),
  ];
}

function aboutStuck({ key, nodes, state }: KeySummary, keyPrefix: string): string[] {
  const stuck = nodes.filter(isStuck).map(({ node }) => node);
  if (stuck.length === 0) return [];
  const stored = `${keyPrefix}${printable(key)}`;
  const stands =
    state === "blocked" ? "nobody gets the key before it is gone" : "these masters have no vote";
  return [
    `Find out what stores ${stored} on ${list(stuck)}: this library stores nothing without an end there, and ${stands}.`,
    "When you know that nobody works under it, delete it on each of them:",
    `redis-cli -h HOST -p PORT DEL ${shellQuoted(stored)}`,
  ];
}

function aboutSilent({ nodes, state, voting, quorum }: KeySummary): string[] {
  const silent = nodes.filter((node) => !isAnswer(node)).map(({ node }) => node);
  if (silent.length === 0) return [];
  const certain =
    state === "unclear"
      ? "A lock may have its other part there."
      : state !== "held" && voting < quorum
        ? "Somebody may hold the key there, and on those that forgot it."
        : "The others are a quorum, so what stands here is certain.";
  return [
    `${list(silent)} did not answer. ${certain} What is wrong with ${silent.length === 1 ? "it" : "them"}, says: bullmq-redlock doctor`,
  ];
}
