import { slotName } from "../lock/slots.ts";
import { printable } from "../printable.ts";
import { isHold } from "../redlock/hold.ts";
import {
  hasAnswered,
  isForgetful,
  isStuck,
  type KeySummary,
  nodesThat,
  placesOf,
} from "./summary.ts";
import { duration, list, shellQuoted, shellWord } from "./words.ts";

/** What an operator can do about a key, and about the masters that were asked. */
export function advise(summary: KeySummary, prefix: string): string[] {
  return [
    ...adviseOnKey(summary, prefix),
    ...adviseOnVotes(summary),
    ...adviseOnStuck(summary, prefix),
    ...adviseOnSilent(summary),
  ];
}

function adviseOnKey(summary: KeySummary, prefix: string): string[] {
  if (summary.slots !== undefined && summary.state === "held")
    return adviseOnSlots(summary, prefix);
  switch (summary.state) {
    case "unclear":
      return [
        "Ask again in a moment: clients that acquired too few masters release them, and locks that they leave behind expire.",
      ];
    case "free":
      return adviseOnFree(summary, prefix);
    case "held":
      return adviseOnHeld(summary, prefix);
    default:
      return [];
  }
}

function adviseOnFree(summary: KeySummary, prefix: string): string[] {
  const { key, limit, nodes, lastToken, waiting, reserved } = summary;
  if (reserved?.forRetry === true) {
    return [
      "Nothing: retryOrder keeps the key for a job that has failed, or whose process died, and runs again.",
      `To let the others go on: bullmq-redlock release --force --reason TEXT ${shellWord(key)}`,
    ];
  }
  if (nodes.some((node) => node.state === "held" && !isStuck(node))) {
    return ["Nothing: the lock left on a minority of the masters blocks no client, and expires."];
  }
  if (waiting > 0) {
    return [
      `The key is free, and the first of its waiters (${waiting}) is woken within seconds. Ask again in a moment.`,
      adviseOnFirst(summary),
    ];
  }
  // A limit is known for as long as the marks of its slots.
  if (lastToken > 0 || limit > 1) return [];
  if (key.startsWith(prefix) && key !== prefix) {
    const meant = shellWord(key.slice(prefix.length));
    return [`Give keys without the prefix: bullmq-redlock inspect ${meant}`];
  }
  return [
    "No client has held this key in the last hour. Check its spelling: rules escape a space as %20. This shows the keys of a job: bullmq-redlock check-config --job FILE",
  ];
}

/** What to check when the first waiter does not acquire what is free. */
function adviseOnFirst({ waiters }: KeySummary): string {
  const first = waiters[0]?.job;
  return first === undefined
    ? "If this lasts, the program that waits first may have ended; it is then skipped."
    : `If this lasts, check that workers of the queue of ${printable(first)} run, and that the queue is not paused or full.`;
}

function adviseOnSlots(summary: KeySummary, prefix: string): string[] {
  const { key, limit, taken, waiting } = summary;
  const state =
    taken === undefined || taken >= limit
      ? ["Nothing, while the holders work: a slot is released when its holder ends."]
      : waiting === 0
        ? ["Nothing: the next client that asks acquires a free slot."]
        : [
            `A slot is free. The first of the waiters (${waiting}) that allows so many holders is woken within seconds; one with a smaller limit waits for a slot of its own, see why.`,
            adviseOnFirst(summary),
          ];
  return [
    ...state,
    "If the process of a holder has died, its slot is free when it expires. If a holder hangs, end its process; its slot then expires.",
    `Do not delete ${prefix}${printable(key)}, nor ${furtherSlots(summary, prefix)}, on the masters: the holder and the next one would run at the same time.`,
  ];
}

/** The names of the slots of a key but slot 0. After the limit was lowered, slots above it may have holders. */
function furtherSlots({ key, limit, slots = [] }: KeySummary, prefix: string): string {
  const last = Math.max(limit - 1, ...slots.map(({ slot }) => slot));
  const names = [1, last].map((slot) => `${prefix}${printable(slotName(key, slot))}`);
  return [...new Set(names)].join(" to ");
}

function adviseOnHeld({ key, holder, job, remaining }: KeySummary, prefix: string): string[] {
  const end = remaining === undefined ? "soon" : `within ${duration(remaining)}`;
  if (holder?.kept) {
    return [
      `Nothing: the ${job === undefined ? "holder" : "job"} is done; the key is free ${end}.`,
    ];
  }
  if (isHold(holder)) {
    return [
      `Nothing: an operator pauses this key. To end that: bullmq-redlock release ${shellWord(key)}`,
    ];
  }
  if (holder?.fencingToken === undefined) {
    return [
      `Ask the other program that holds the lock; it does not use this library. If it has ended, the key is free ${end}.`,
    ];
  }
  const [works, remedy] =
    job === undefined
      ? ["the holder", "end its process; the key then expires."]
      : [
          "the job",
          `end process ${job.pid} on ${printable(job.host)} (kill ${job.pid} there, and kill -9 ${job.pid} if it waits for the job); the key then expires, and BullMQ runs the job again.`,
        ];
  return [
    `Nothing, while ${works} works: the key is released when it ends.`,
    `If its process has died, the key is free ${end}.`,
    `If it hangs, ${remedy}`,
    `Do not delete ${prefix}${printable(key)} on the masters: the holder and the next one would run at the same time.`,
  ];
}

/** What to do when masters cannot vote because they lost their memory. */
export function adviseOnVotes(summary: KeySummary): string[] {
  const { nodes, quorum, voting, quorumIn } = summary;
  const forgetful = nodesThat(summary, isForgetful);
  const unarmed = nodesThat(summary, ({ vote }) => vote === "unarmed");
  const start =
    unarmed.length === 0
      ? []
      : [
          `The quarantine of ${list(unarmed)} starts when a client asks for a lock, or with: bullmq-redlock doctor`,
        ];
  if (voting >= quorum) {
    if (forgetful.length > 0) {
      return [`Nothing about ${list(forgetful)}: the other masters are a quorum.`, ...start];
    }
    if (nodes.some(({ vote }) => vote === "yes")) return [];
    return [
      "No master has a guard yet: no client has used these masters, or all of them lost their memory. The first client may have to wait; this shows for how long: bullmq-redlock doctor",
    ];
  }
  const silent = nodesThat(summary, (node) => !hasAnswered(node));
  const until =
    quorumIn === undefined
      ? "Locks are unavailable"
      : `Wait ${duration(quorumIn)}; no action is needed. Locks are unavailable`;
  const reason =
    forgetful.length === 0
      ? ""
      : "; a master that lost its memory first waits for old locks to end";
  return [
    `${until} while fewer than ${quorum} masters can vote${reason}. A lock that too few masters remember is lost.`,
    ...start,
    ...(silent.length === 0 ? [] : [`Or bring back ${list(silent)}.`]),
  ];
}

function adviseOnStuck(summary: KeySummary, prefix: string): string[] {
  return placesOf(summary).flatMap(({ slot, nodes }) => {
    const stuck = nodes.filter(isStuck).map(({ node }) => node);
    if (stuck.length === 0) return [];
    const name = `${prefix}${printable(slotName(summary.key, slot))}`;
    const effect =
      stuck.length <= nodes.length - summary.quorum
        ? "these masters cannot vote for the key"
        : summary.slots === undefined
          ? "no client can acquire the key until it is deleted"
          : "no client can acquire the slot until it is deleted";
    return [
      `Find the program that stores ${name} on ${list(stuck)}: this library stores no value without an expiry there, and ${effect}.`,
      "When no program works under it, delete it on each of these masters:",
      `redis-cli -h HOST -p PORT DEL ${shellQuoted(name)}`,
    ];
  });
}

function adviseOnSilent(summary: KeySummary): string[] {
  const { state, voting, quorum } = summary;
  const silent = nodesThat(summary, (node) => !hasAnswered(node));
  if (silent.length === 0) return [];
  const certainty =
    state === "unclear"
      ? "The other part of a lock may be there."
      : state !== "held" && voting < quorum
        ? "A lock may exist there, and on the masters that lost their memory."
        : "The others are a quorum, so this answer is certain.";
  return [`${list(silent)} did not answer. ${certainty} To find out why: bullmq-redlock doctor`];
}
