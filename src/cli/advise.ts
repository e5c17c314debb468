import { isAnswer, isForgetful, isStuck, type KeySummary } from "./summary.ts";
import { printable } from "../printable.ts";
import { duration, list, shellQuoted, shellWord } from "./words.ts";

/** What is to be known to say who votes. */
export type VoteSummary = Pick<KeySummary, "nodes" | "quorum" | "voting" | "quorumIn">;

/** What to do about a key, and about the masters that were asked for it. */
export function advise(summary: KeySummary, prefix: string): string[] {
  return [
    ...aboutKey(summary, prefix),
    ...aboutVotes(summary),
    ...aboutStuck(summary, prefix),
    ...aboutSilent(summary),
  ];
}

function aboutKey(summary: KeySummary, prefix: string): string[] {
  const { state, nodes, holder, job, remaining, lastToken, waiting, waiters } = summary;
  const stored = `${prefix}${printable(summary.key)}`;
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
    if (lastToken === 0 && key.startsWith(prefix) && key !== prefix) {
      const meant = shellWord(key.slice(prefix.length));
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

function aboutStuck({ key, nodes, state }: KeySummary, prefix: string): string[] {
  const stuck = nodes.filter(isStuck).map(({ node }) => node);
  if (stuck.length === 0) return [];
  const stored = `${prefix}${printable(key)}`;
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
