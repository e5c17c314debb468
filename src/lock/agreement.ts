import type { GuardState } from "./arm-operation.ts";

/** What one master's guard said, if the master answered. */
export type RegisterReply = GuardState | undefined;

/** What a client does next about the guards. */
export type AgreementStep =
  | { readonly kind: "done" }
  /** Names the longest ttl once more, and hears all again; after a moment when another client may be about to speak. */
  | { readonly kind: "look again"; readonly pause: boolean }
  /** Tells these masters that they may vote for locks up to the ttl. */
  | {
      readonly kind: "agree";
      readonly ttl: number;
      readonly nodes: readonly number[];
      readonly isLast: boolean;
    };

/** What the client itself brings. Durations are milliseconds. */
interface Terms {
  /** The longest ttl that it wants to ask for. */
  readonly wanted: number;
  /** How long a guard may be new beside sure ones: the client that trusts a new set tells one after the other. */
  readonly grace: number;
}

const DONE: AgreementStep = { kind: "done" };

/**
 * Decides what masters may be told about the longest ttl, by what all said to two requests, one after the other. Pure.
 *
 * A master that has forgotten its locks has to wait until they are over, and has forgotten how long they can be. A client that
 * went by its own longest ttl would end the wait too early when another one's is longer. So the rule is: _a longer ttl is
 * written to all masters before it is used, and read from any_.
 *
 * - A ttl is _agreed_ when every master has said twice that it knows of it, with the same guard both times. Only then may
 *   any of them vote for a lock that long. It never becomes shorter again.
 * - A master that has forgotten is _unsure_, and gives no vote. It becomes sure when, after its guard was set anew, a sure
 *   master tells what is agreed. When none is sure, all have to answer: then they agree anew. Else it waits until the
 *   longest lock that there can be is over, and goes by what it has been told.
 *
 * Claim: once a ttl is agreed, every sure master knows of it. Let X be the first to become sure without. It has forgotten it
 * after it had said it for the second time: before, its guard would have been another one than at the first time, or have
 * heard of the ttl itself. So it asked a sure master Y after all had been told. Y knew of the ttl, or had forgotten it in the
 * same way and become sure before X; but X is the first. - That all forget at once is left out: what no master knows can only
 * be told by a client that does (`docs/guarantees.md`).
 */
export function nextStep(
  before: readonly RegisterReply[],
  words: readonly RegisterReply[],
  { wanted, grace }: Terms,
): AgreementStep {
  const heard = words.flatMap((word) => word ?? []);
  const longest = Math.max(wanted, ...heard.map(({ longestTtl }) => longestTtl));
  const sure = heard.filter(isSure);
  const agreed = Math.max(0, ...sure.map(({ agreedTtl }) => agreedTtl));
  const nodes = [...words.keys()];
  if (heard.length === words.length && (sure.length === 0 || agreed < wanted)) {
    const allKnow = nodes.every((node) => knewTwice(before[node], words[node], longest));
    return allKnow
      ? { kind: "agree", ttl: longest, nodes, isLast: true }
      : { kind: "look again", pause: false };
  }
  const behind = nodes.filter((node) => isBehind(words[node], agreed));
  // Without one that is sure, a silent one might know of a longer ttl than all that answer.
  if (sure.length === 0 || behind.length === 0) return DONE;
  const told = behind.filter(
    (node) =>
      (isSure(words[node]) || isKept(before[node], words[node])) && knows(words[node], longest),
  );
  const ripe = told.filter((node) => !isYoung(words[node], grace));
  if (ripe.length === 0) return { kind: "look again", pause: told.length === behind.length };
  return { kind: "agree", ttl: agreed, nodes: ripe, isLast: ripe.length === behind.length };
}

/** Whether masters that have forgotten their locks wait for others to answer. */
export function isStuck(words: readonly RegisterReply[]): boolean {
  const heard = words.flatMap((word) => word ?? []);
  return heard.length > 0 && heard.length < words.length && !heard.some(isSure);
}

function isSure(word: RegisterReply): boolean {
  return word?.state === "sure";
}

function isBehind(word: RegisterReply, agreed: number): boolean {
  return word !== undefined && (!isSure(word) || word.agreedTtl < agreed);
}

/** Whether a master has not forgotten anything between its two words. */
function isKept(before: RegisterReply, word: RegisterReply): boolean {
  return word !== undefined && before?.armedAt === word.armedAt;
}

function knows(word: RegisterReply, ttl: number): boolean {
  return word !== undefined && word.longestTtl >= ttl;
}

function knewTwice(before: RegisterReply, word: RegisterReply, ttl: number): boolean {
  return isKept(before, word) && knows(before, ttl) && knows(word, ttl);
}

function isYoung(word: RegisterReply, grace: number): boolean {
  return word?.state === "new" && word.age < grace;
}
