import type { Clock } from "../clock.ts";
import type { NodeVote } from "../errors.ts";
import { within } from "../pause.ts";
import { NodeError } from "../redis/node-error.ts";
import type { LockContext } from "./context.ts";
import type { KeyHolder } from "./acquiring.ts";
import type { Caller, Claim } from "./claim.ts";
import { reportVotes, type Vote } from "./quorum.ts";
import { recovers } from "./recovery.ts";
import { type RoundResult, runRound } from "./round.ts";
import type { Tenure, TurnListener } from "./tenure.ts";
import { smallestGrant } from "./validity.ts";

/** What is asked for. */
export interface AcquireRequest {
  readonly keys: readonly string[];
  readonly ttl: number;
  /** Text that operators see. */
  readonly holder: string;
  readonly caller: Caller;
  /** Hears who waits for keys that a part of an attempt had, and gives back. */
  readonly rolledBack: TurnListener;
  /** False when nobody waits for the lock any more: then there is no further try, nor another round. */
  wanted(): boolean;
}

/** How an attempt ended. Only `granted` leaves anything on the masters. */
export type AcquireOutcome =
  | { readonly kind: "granted"; readonly tenure: Tenure; readonly rounds: number }
  | { readonly kind: "replaced"; readonly by: string }
  /** `holder` is undefined when splits went on to the end. */
  | { readonly kind: "conflict"; readonly holder: KeyHolder | undefined }
  | { readonly kind: "obstructed"; readonly cause: string }
  | { readonly kind: "unavailable"; readonly votes: readonly NodeVote[] };

/** Rounds that may follow each other at once because a higher token was seen. Each learns all marks: two suffice. */
const TOKEN_ROUNDS = 6;
/**
 * How often a split is tried again. With ten contenders 70 % of the rounds split when all start together; the
 * growing, jittered pauses pull them apart.
 */
const SPLIT_ROUNDS = 8;
/** First pause after a split, in ms, at least: about a round trip in a local network. */
const SPLIT_PAUSE = 2;

/**
 * Tries to get all keys, now. Takes one round nearly always; more only when a higher token turns up or contenders
 * have split the masters among themselves.
 */
export async function acquire(
  context: LockContext,
  request: AcquireRequest,
): Promise<AcquireOutcome> {
  const { clock, random, nodeTimeout, contests, guards } = context;
  const owner = random.owner();
  const firstSeen = new Map<string, number>();
  const traces = new Set<number>();
  let rounds = 0;
  let stopLeading: (() => void) | undefined;
  let recovered = false;
  try {
    for (let splits = 0; ; splits++) {
      const startedAt = clock.now();
      const armedBefore = guards.armed;
      const result = await runRounds(context, request, owner, traces);
      const { verdict, votes } = result;
      rounds += result.roundsTaken;
      if (verdict.kind === "granted") return { kind: "granted", tenure: result.tenure, rounds };

      result.rollBack(request.rolledBack);
      if (verdict.kind === "conflict") return verdict;
      if (verdict.kind === "replaced" || verdict.kind === "obstructed") return verdict;
      // Masters that had no vote because of their guards may have one now.
      const unarmed = votes.some((vote) => vote.kind === "barred" && vote.reason === "unarmed");
      if (unarmed) await guards.settled();
      const armed = guards.armed > armedBefore;
      if (verdict.kind === "unavailable" && (!armed || splits >= SPLIT_ROUNDS)) {
        // Once: new connections that fail too are an outage.
        if (!recovered && request.wanted()) {
          recovered = await recovers(context, votes, startedAt);
          if (recovered) continue;
        }
        const explained = votes.map((vote, node) => explain(vote, guards.failureOf(node)));
        return { kind: "unavailable", votes: reportVotes(context.masters.names, explained) };
      }
      const blockers = verdict.kind === "split" ? verdict.blockers : [];
      const settled = settledBlocker(firstSeen, blockers, clock.now(), nodeTimeout);
      if (settled !== undefined) return { kind: "conflict", holder: settled };
      if (splits >= SPLIT_ROUNDS || !request.wanted()) {
        return { kind: "conflict", holder: undefined };
      }

      if (armed) continue;
      const leader = stopLeading === undefined ? contests.leader(request.keys) : undefined;
      if (leader !== undefined) {
        // No longer than it would have paused itself at most: others may keep the leader from an end.
        await within(clock, leader, nodeTimeout);
        continue;
      }
      stopLeading ??= contests.lead(request.keys);
      const pause =
        Math.max(SPLIT_PAUSE, clock.now() - startedAt) * 2 ** splits * random.fraction();
      await sleep(clock, Math.min(pause, nodeTimeout));
    }
  } finally {
    stopLeading?.();
  }
}

/**
 * A contender rolls back within its round, so a minority that outlives a node timeout unchanged is no contender:
 * it is a holder that won elsewhere, or one that died.
 */
function settledBlocker(
  firstSeen: Map<string, number>,
  blockers: readonly KeyHolder[],
  now: number,
  nodeTimeout: number,
): KeyHolder | undefined {
  const current = new Set(blockers.map(nameOf));
  for (const known of firstSeen.keys()) if (!current.has(known)) firstSeen.delete(known);
  for (const name of current) if (!firstSeen.has(name)) firstSeen.set(name, now);
  return blockers.find(
    (blocker) => now - (firstSeen.get(nameOf(blocker)) ?? now) >= 2 * nodeTimeout,
  );
}

function nameOf({ key, id, token }: KeyHolder): string {
  return JSON.stringify([key, id, token]);
}

/**
 * Runs rounds with growing tokens until one does not end `stale`.
 * @param traces the masters that may have something of this acquisition; those that have only refused do not.
 */
async function runRounds(
  context: LockContext,
  request: AcquireRequest,
  owner: string,
  traces: Set<number>,
): Promise<RoundResult & { roundsTaken: number }> {
  const { clock, tokens, names, guards } = context;
  for (let roundsTaken = 1; ; roundsTaken++) {
    const claim = {
      names,
      keys: request.keys,
      owner,
      token: tokens.next(),
      holder: request.holder,
      guarded: guards.enabled,
      caller: request.caller,
    };
    const result = await runRound(context, request.ttl, claim, traces);
    const { verdict, tenure } = result;
    if (verdict.kind === "granted") {
      // Slow masters, or a blocked event loop: better no lock than one about to end.
      const left = tenure.usableUntil - clock.now();
      if (left >= smallestGrant(request.ttl)) return { ...result, roundsTaken };
      const votes = result.votes.map((vote) => tooLate(vote, request.ttl));
      return { ...result, verdict: { kind: "unavailable" }, votes, roundsTaken };
    }
    const joinsLate = verdict.kind === "conflict" && hasNotJoined(claim, result.votes);
    const goesOn = roundsTaken < TOKEN_ROUNDS && request.wanted();
    if (joinsLate && goesOn) continue;
    if (verdict.kind !== "stale") return { ...result, roundsTaken };
    if (!goesOn) {
      return { ...result, verdict: { kind: "split", blockers: [] }, roundsTaken };
    }
  }
}

/** A claim that is not above the mark of a master may be a late one, and joins no line there. */
function hasNotJoined({ token, caller }: Claim, votes: readonly Vote[]): boolean {
  return (
    caller.joins !== undefined && votes.some((vote) => vote.kind === "busy" && vote.mark >= token)
  );
}

/** Says also why the guard could not be armed. */
function explain(vote: Vote, failure: string | undefined): Vote {
  if (vote.kind !== "barred" || vote.reason !== "unarmed" || failure === undefined) return vote;
  return { ...vote, cause: `${vote.cause}; ${failure}` };
}

function tooLate(vote: Vote, ttl: number): Vote {
  if (vote.kind !== "granted") return vote;
  const error = new NodeError("timed-out", `answered too late for a ttl of ${ttl} ms`);
  return { kind: "failed", error };
}

function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.timer(ms, resolve);
  });
}
