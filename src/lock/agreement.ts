import type { GuardState } from "./arm-operation.ts";

/** The guard of one master, if the master answered. */
export type RegisterReply = GuardState | undefined;

/** What a client does next about the guards. */
export type AgreementStep =
  | { readonly kind: "done" }
  /** Names the longest ttl to all masters once more; after a pause when another client may be about to agree. */
  | { readonly kind: "ask again"; readonly pause: boolean }
  /** Lets these masters vote for locks up to the ttl. */
  | {
      readonly kind: "agree";
      readonly ttl: number;
      readonly nodes: readonly number[];
      readonly isLast: boolean;
    };

/** What the client itself brings, in milliseconds. */
interface Terms {
  /** The longest ttl that it wants to ask for. */
  readonly wanted: number;
  /** How long a guard may be new beside sure ones: a client that trusts a new set informs the masters one after the other. */
  readonly grace: number;
}

const DONE: AgreementStep = { kind: "done" };

/**
 * Decides what masters may learn about the longest ttl, from their replies to two requests, one after the other. Pure.
 *
 * A master that has forgotten its locks has to wait until they are over, and has forgotten how long they can be. A client that
 * used its own longest ttl would end the wait too early when another client's ttl is longer. So the rule is: _a longer ttl is
 * written to all masters before it is used, and read from any_.
 *
 * - A ttl is _agreed_ when every master has reported twice that it knows the ttl, with the same guard both times. Only then
 *   may any of them vote for a lock that long. The agreed ttl never becomes shorter.
 * - A master that has forgotten is _unsure_, and gives no vote. It becomes sure when a sure master reports what is agreed
 *   after the guard was set anew. When none is sure, all have to answer: then they agree anew. Otherwise the master waits until
 *   the longest possible lock is over, and uses the ttl that it has learnt.
 *
 * Claim: once a ttl is agreed, every sure master knows it. Let X be the first to become sure without it. X forgot it after its
 * second report: before, its guard would differ from the first report, or would have learnt the ttl again. So X asked a
 * sure master Y after all had learnt it. Y knew the ttl, or had forgotten it in the same way and become sure before X; but X
 * is the first. - The claim leaves out that all masters forget at once: only a client can give them a ttl that no master knows
 * (`docs/guarantees.md`).
 */
export function nextStep(
  before: readonly RegisterReply[],
  replies: readonly RegisterReply[],
  { wanted, grace }: Terms,
): AgreementStep {
  const guards = replies.flatMap((reply) => reply ?? []);
  const longest = Math.max(wanted, ...guards.map(({ longestTtl }) => longestTtl));
  const sure = guards.filter(isSure);
  const agreed = Math.max(0, ...sure.map(({ agreedTtl }) => agreedTtl));
  const nodes = [...replies.keys()];
  if (guards.length === replies.length && (sure.length === 0 || agreed < wanted)) {
    const allKnow = nodes.every((node) => knewTwice(before[node], replies[node], longest));
    return allKnow
      ? { kind: "agree", ttl: longest, nodes, isLast: true }
      : { kind: "ask again", pause: false };
  }
  const behind = nodes.filter((node) => isBehind(replies[node], agreed));
  // Without a sure master, a silent one might know a longer ttl than all that answer.
  if (sure.length === 0 || behind.length === 0) return DONE;
  const informed = behind.filter(
    (node) =>
      (isSure(replies[node]) || isSame(before[node], replies[node])) &&
      knows(replies[node], longest),
  );
  const ready = informed.filter((node) => !isYoung(replies[node], grace));
  if (ready.length === 0) return { kind: "ask again", pause: informed.length === behind.length };
  return { kind: "agree", ttl: agreed, nodes: ready, isLast: ready.length === behind.length };
}

/** Whether masters that have forgotten their locks wait for others to answer. */
export function isStuck(replies: readonly RegisterReply[]): boolean {
  const guards = replies.flatMap((reply) => reply ?? []);
  return guards.length > 0 && guards.length < replies.length && !guards.some(isSure);
}

function isSure(reply: RegisterReply): boolean {
  return reply?.state === "sure";
}

function isBehind(reply: RegisterReply, agreed: number): boolean {
  return reply !== undefined && (!isSure(reply) || reply.agreedTtl < agreed);
}

/** Whether the guard is the same in both replies: the master has forgotten nothing in between. */
function isSame(before: RegisterReply, reply: RegisterReply): boolean {
  return reply !== undefined && before?.armedAt === reply.armedAt;
}

function knows(reply: RegisterReply, ttl: number): boolean {
  return reply !== undefined && reply.longestTtl >= ttl;
}

function knewTwice(before: RegisterReply, reply: RegisterReply, ttl: number): boolean {
  return isSame(before, reply) && knows(before, ttl) && knows(reply, ttl);
}

function isYoung(reply: RegisterReply, grace: number): boolean {
  return reply?.state === "new" && reply.age < grace;
}
