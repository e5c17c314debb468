import type { Clock } from "../clock.ts";
import type { NodeVote } from "../errors.ts";
import { within } from "../pause.ts";
import { NodeError } from "../redis/node-error.ts";
import type { LockContext } from "./lock-context.ts";
import type { KeyHolder } from "./acquire-operation.ts";
import type { Requester, LockIdentity } from "./lock-identity.ts";
import { reportVotes, type Verdict, type Vote } from "./quorum.ts";
import { recovers } from "./recovery.ts";
import { AcquireRound } from "./acquire-round.ts";
import type { ReservationListener } from "./tally.ts";
import type { Lease } from "./lease.ts";
import { smallestGrant } from "./validity.ts";

/** What is asked for. */
export interface AttemptRequest {
  readonly keys: readonly string[];
  readonly ttl: number;
  /** Text that operators see. */
  readonly holder: string;
  readonly requester: Requester;
  /** Hears who waits for keys that a part of an attempt had, and gives back. */
  readonly rolledBack: ReservationListener;
  /** False when nobody waits for the lock any more: then there is no further try, nor another round. */
  wanted(): boolean;
}

/** How an attempt ended. Only `granted` leaves anything on the masters. */
export type AcquireOutcome =
  | { readonly kind: "granted"; readonly lease: Lease; readonly rounds: number }
  | { readonly kind: "replaced"; readonly by: string }
  /** `holder` is undefined when splitRounds went on to the end. */
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
 * @param settle runs once with the outcome; without a further step of the program when the first round is granted.
 */
export function acquire(
  context: LockContext,
  request: AttemptRequest,
  settle: (outcome: AcquireOutcome) => void,
  failed: (error: unknown) => void,
): void {
  const attempt = new Attempt(context, request);
  const startedAt = context.clock.now();
  const armedBefore = context.guards.armed;
  attempt.round((round) => {
    if (round.verdict.kind === "granted" && attempt.isLongEnough(round)) {
      settle({ kind: "granted", lease: round.lease, rounds: 1 });
    } else goOn(attempt, round, { startedAt, armedBefore }).then(settle, failed);
  });
}

/** What the rounds of one acquisition share. */
class Attempt {
  readonly context: LockContext;
  readonly request: AttemptRequest;
  rounds = 0;
  readonly #owner: string;
  /** The masters that may have something of this acquisition; those that have only refused do not. */
  readonly #traces: boolean[] = [];

  constructor(context: LockContext, request: AttemptRequest) {
    this.context = context;
    this.request = request;
    this.#owner = context.random.owner();
  }

  /** Asks all masters, with a new token. */
  round(decided: (round: AcquireRound) => void): void {
    const { tokens, names, guards } = this.context;
    const { keys, ttl, holder, requester } = this.request;
    this.rounds += 1;
    const identity = {
      names,
      keys,
      owner: this.#owner,
      token: tokens.next(),
      holder,
      guarded: guards.enabled,
      requester,
      ttl,
    };
    new AcquireRound(this.context, identity, this.#traces, decided).ask();
  }

  /** Slow masters, or a blocked event loop: better no lock than one about to end. */
  isLongEnough({ lease }: AcquireRound): boolean {
    const left = lease.usableUntil - this.context.clock.now();
    return left >= smallestGrant(this.request.ttl);
  }
}

/** What a master has to be asked again for is not asked for ever. */
async function goOn(
  attempt: Attempt,
  firstRound: AcquireRound,
  { startedAt, armedBefore }: { startedAt: number; armedBefore: number },
): Promise<AcquireOutcome> {
  const { context, request } = attempt;
  const { clock, random, nodeTimeout, splits, guards } = context;
  const firstSeen = new Map<string, number>();
  let stopLeading: (() => void) | undefined;
  let recovered = false;
  let decided: AcquireRound | undefined = firstRound;
  try {
    for (let splitRounds = 0; ; splitRounds++) {
      if (decided === undefined) {
        startedAt = clock.now();
        armedBefore = guards.armed;
        decided = await nextRound(attempt);
      }
      const { round, verdict, votes } = await untilNotStale(attempt, decided);
      decided = undefined;
      if (verdict.kind === "granted") {
        return { kind: "granted", lease: round.lease, rounds: attempt.rounds };
      }
      round.rollBack(request.rolledBack);
      if (verdict.kind === "conflict") return verdict;
      if (verdict.kind === "replaced" || verdict.kind === "obstructed") return verdict;
      // Masters that had no vote because of their guards may have one now.
      const unarmed = votes.some((vote) => vote.kind === "barred" && vote.reason === "unarmed");
      if (unarmed) await guards.settled();
      const armed = guards.armed > armedBefore;
      if (verdict.kind === "unavailable" && (!armed || splitRounds >= SPLIT_ROUNDS)) {
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
      if (splitRounds >= SPLIT_ROUNDS || !request.wanted()) {
        return { kind: "conflict", holder: undefined };
      }

      if (armed) continue;
      const leader = stopLeading === undefined ? splits.leader(request.keys) : undefined;
      if (leader !== undefined) {
        // No longer than it would have paused itself at most: others may keep the leader from an end.
        await within(clock, leader, nodeTimeout);
        continue;
      }
      stopLeading ??= splits.lead(request.keys);
      const pause =
        Math.max(SPLIT_PAUSE, clock.now() - startedAt) * 2 ** splitRounds * random.fraction();
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

function nextRound(attempt: Attempt): Promise<AcquireRound> {
  return new Promise((resolve) => attempt.round(resolve));
}

/** What rounds with growing tokens came to. */
interface Decided {
  readonly round: AcquireRound;
  readonly verdict: Verdict;
  readonly votes: readonly Vote[];
}

/** Goes on with growing tokens until a round does not end `stale`. */
async function untilNotStale(attempt: Attempt, round: AcquireRound): Promise<Decided> {
  const { request } = attempt;
  for (let roundsTaken = 1; ; roundsTaken++) {
    const { verdict, votes, lease } = round;
    if (verdict.kind === "granted") {
      if (attempt.isLongEnough(round)) return { round, verdict, votes };
      const late = votes.map((vote) => tooLate(vote, request.ttl));
      return { round, verdict: { kind: "unavailable" }, votes: late };
    }
    const joinsLate = verdict.kind === "conflict" && hasNotJoined(lease.identity, votes);
    const goesOn = roundsTaken < TOKEN_ROUNDS && request.wanted();
    if (!joinsLate || !goesOn) {
      if (verdict.kind !== "stale") return { round, verdict, votes };
      if (!goesOn) return { round, verdict: { kind: "split", blockers: [] }, votes };
    }
    round = await nextRound(attempt);
  }
}

/** A claim that is not above the mark of a master may be a late one, and joins no line there. */
function hasNotJoined({ token, requester }: LockIdentity, votes: readonly Vote[]): boolean {
  return (
    requester.joins !== undefined &&
    votes.some((vote) => vote.kind === "busy" && vote.mark >= token)
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
