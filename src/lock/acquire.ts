import type { NodeVote } from "../errors.ts";
import { NodeError } from "../redis/node-error.ts";
import type { KeyHolder } from "./acquire-operation.ts";
import { AcquireRound, type RoundListener } from "./acquire-round.ts";
import type { Lease } from "./lease.ts";
import type { LockContext } from "./lock-context.ts";
import type { LockIdentity, Requester } from "./lock-identity.ts";
import { reportVotes, type Verdict, type Vote } from "./quorum.ts";
import { recovers } from "./recovery.ts";
import { SplitBackoff } from "./split-backoff.ts";
import { firstSlots, freeSlots, isFull } from "./slot-votes.ts";
import { smallestGrant } from "./validity.ts";
import type { ReservationReply } from "./wait-list-hooks.ts";

/** What an attempt asks for. */
interface AttemptRequest {
  readonly keys: readonly string[];
  /** How many holders each key may have; `undefined` when each may have one. */
  readonly limits: readonly number[] | undefined;
  /** Milliseconds. */
  readonly ttl: number;
  /** Text that operators see. */
  readonly holder: string;
}

/** Follows an attempt: `settled` or `failed` runs once. */
export interface AttemptListener {
  /** The attempt has ended. Runs synchronously with the deciding vote when the first round is granted. */
  settled(outcome: AcquireOutcome): void;
  /** The attempt has ended with an unexpected error. */
  failed(error: unknown): void;
  /** Receives the waiters for slots that a part of the attempt held and rolls back, in the order of the slots. */
  rolledBack(slots: readonly string[], reservations: readonly ReservationReply[]): void;
  /** False when the lock is not wanted any more: then no further round follows. */
  readonly wanted: boolean;
}

/** How an attempt ended. Only `granted` leaves anything on the masters. */
export type AcquireOutcome =
  | { readonly kind: "granted"; readonly lease: Lease; readonly rounds: number }
  | { readonly kind: "replaced"; readonly by: string }
  /** `holder` is undefined when the masters were still split after the last try. */
  | { readonly kind: "conflict"; readonly holder: KeyHolder | undefined }
  | { readonly kind: "obstructed"; readonly cause: string }
  | { readonly kind: "unavailable"; readonly votes: readonly NodeVote[] };

/** Most rounds of one try. Each round learns the marks of all masters, so two usually suffice. */
const TOKEN_ROUNDS = 6;
/**
 * Most tries after the first. With ten contenders 70 % of the tries split when all start together; the growing, jittered pauses
 * separate them.
 */
const FURTHER_TRIES = 8;

/**
 * Attempts to acquire all keys, without waiting for a holder: a round asks all masters for their votes.
 *
 * An ordinary attempt is one round. Within a _try_, a further round follows at once when a master
 * knows a higher token, and when masters name another slot of the key that is free. A further try
 * follows when contenders have split the masters among themselves, when masters that had no vote
 * may have one now, and once after a loss of connections.
 *
 * Invariant: a round that is not granted is rolled back before the attempt goes on, so only a granted attempt holds anything.
 * @see https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/ ("Retry on Failure")
 */
export function acquire(
  context: LockContext,
  request: AttemptRequest,
  requester: Requester,
  listener: AttemptListener,
): void {
  new Attempt(context, request, requester, listener).ask();
}

/**
 * A round after which no other follows in its try. The verdict and the votes differ from the round's own after a grant that
 * came too late, and after the last of the `stale` rounds.
 */
interface Decision {
  readonly round: AcquireRound;
  readonly verdict: Verdict;
  readonly votes: readonly Vote[];
}

/** One object without closures, because nearly every lock needs one. */
class Attempt implements RoundListener {
  readonly #context: LockContext;
  readonly #request: AttemptRequest;
  readonly #requester: Requester;
  readonly #listener: AttemptListener;
  readonly #owner: string;
  /** The names of the slots that the attempt asks for. */
  #slots: readonly string[];
  #traces: boolean[] | undefined;
  /** Goes on with a round after the first. */
  #resume: ((round: AcquireRound) => void) | undefined;
  #rounds = 0;
  #furtherTries = 0;
  /** When the current try began, and how many guards had been armed by then. */
  #triedAt: number;
  #armedBefore: number;
  #split: SplitBackoff | undefined;
  #hasRecovered = false;

  constructor(
    context: LockContext,
    request: AttemptRequest,
    requester: Requester,
    listener: AttemptListener,
  ) {
    this.#context = context;
    this.#request = request;
    this.#requester = requester;
    this.#listener = listener;
    this.#owner = context.random.owner();
    this.#slots = firstSlots(context, request, requester);
    this.#triedAt = context.clock.now();
    this.#armedBefore = context.guards.armed;
  }

  get traces(): boolean[] {
    this.#traces ??= [];
    return this.#traces;
  }

  onDecided(round: AcquireRound): void {
    const listener = this.#listener;
    if (this.#resume !== undefined) this.#resume(round);
    else if (round.verdict.kind === "granted" && this.#isLongEnough(round.lease)) {
      listener.settled({ kind: "granted", lease: round.lease, rounds: 1 });
    } else {
      this.#continueFrom(round).then(
        (outcome) => listener.settled(outcome),
        (error: unknown) => listener.failed(error),
      );
    }
  }

  async #continueFrom(first: AcquireRound): Promise<AcquireOutcome> {
    try {
      for (let round = first; ; round = await this.#nextTry()) {
        const decision = await this.#untilDecided(round);
        const outcome = await this.#outcomeOf(decision);
        if (outcome !== undefined) return outcome;
        this.#moveFrom(decision.round, 1);
      }
    } finally {
      this.#split?.end();
    }
  }

  #nextTry(): Promise<AcquireRound> {
    this.#furtherTries += 1;
    this.#triedAt = this.#context.clock.now();
    this.#armedBefore = this.#context.guards.armed;
    return this.#nextRound();
  }

  /** Starts further rounds of the try, with growing tokens, until one of them is the last. */
  async #untilDecided(round: AcquireRound): Promise<Decision> {
    const { masters } = this.#context;
    for (let rounds = 1; rounds < TOKEN_ROUNDS && this.#listener.wanted; rounds++) {
      if (this.#moveFrom(round, masters.quorum)) this.#rollBack(round);
      else if (!needsHigherToken(round)) break;
      round = await this.#nextRound();
    }
    return this.#decisionOf(round);
  }

  /** Chooses other slots, which so many masters name as free; false when there are none. */
  #moveFrom(round: AcquireRound, votes: number): boolean {
    const { limits } = this.#request;
    const { kind } = round.verdict;
    if (limits === undefined || (kind !== "conflict" && kind !== "split")) return false;
    const slots = freeSlots(round, votes, this.#context.slotChoice);
    if (slots === undefined) return false;
    this.#slots = slots;
    this.#traces = undefined;
    return true;
  }

  #decisionOf(round: AcquireRound): Decision {
    const { verdict, votes, lease } = round;
    // Without a further round, a try that meets a higher token is as good as split.
    if (verdict.kind === "stale") return { round, verdict: SPLIT, votes };
    // Masters that name different slots as free have not received all releases yet.
    if (verdict.kind === "conflict" && !isFull(round)) return { round, verdict: SPLIT, votes };
    if (verdict.kind !== "granted" || this.#isLongEnough(lease)) return { round, verdict, votes };
    const late = votes.map((vote) => tooLate(vote, this.#request.ttl));
    return { round, verdict: { kind: "unavailable" }, votes: late };
  }

  /** Returns the outcome of the attempt; `undefined` when another try is to follow. */
  async #outcomeOf({ round, verdict, votes }: Decision): Promise<AcquireOutcome | undefined> {
    if (verdict.kind === "granted") {
      return { kind: "granted", lease: round.lease, rounds: this.#rounds };
    }
    this.#rollBack(round);
    if (verdict.kind === "conflict") return verdict;
    if (verdict.kind === "replaced" || verdict.kind === "obstructed") return verdict;

    // Contenders end their split by themselves, sooner than a master is armed.
    if (verdict.kind === "unavailable") await this.#untilArmed(votes);
    const armed = this.#context.guards.armed > this.#armedBefore;
    const isLast = this.#furtherTries >= FURTHER_TRIES;
    if (verdict.kind === "unavailable" && (!armed || isLast)) {
      return (await this.#haveConnectionsRecovered(votes)) ? undefined : this.#unavailable(votes);
    }
    const split = (this.#split ??= new SplitBackoff(this.#context, this.#request.keys));
    const holder = split.settledHolder(verdict.kind === "split" ? verdict.blockers : []);
    if (holder !== undefined || isLast || !this.#listener.wanted) {
      return { kind: "conflict", holder };
    }
    if (!armed) await split.pause(this.#furtherTries, this.#triedAt);
    return undefined;
  }

  #rollBack(round: AcquireRound): void {
    const { slots } = round.lease.identity;
    round.rollBack((reservations) => this.#listener.rolledBack(slots, reservations));
  }

  /** Waits for the masters that had no vote in this try because of their guards: they may have one then. */
  async #untilArmed(votes: readonly Vote[]): Promise<void> {
    const unarmed = votes.some((vote) => vote.kind === "barred" && vote.reason === "unarmed");
    if (unarmed) await this.#context.guards.settled();
  }

  /** Whether lost connections alone were the cause. True once at most: new connections that fail too are an outage. */
  async #haveConnectionsRecovered(votes: readonly Vote[]): Promise<boolean> {
    if (this.#hasRecovered || !this.#listener.wanted) return false;
    this.#hasRecovered = await recovers(this.#context, votes, this.#triedAt);
    return this.#hasRecovered;
  }

  #unavailable(votes: readonly Vote[]): AcquireOutcome {
    const { masters, guards } = this.#context;
    const explained = votes.map((vote, node) => withGuardFailure(vote, guards.failureOf(node)));
    return { kind: "unavailable", votes: reportVotes(masters.names, explained) };
  }

  #nextRound(): Promise<AcquireRound> {
    return new Promise((resolve) => {
      this.#resume = resolve;
      this.ask();
    });
  }

  /** Starts a round. */
  ask(): void {
    const { tokens, names, guards } = this.#context;
    const { keys, limits, ttl, holder } = this.#request;
    this.#rounds += 1;
    const identity = {
      names,
      keys,
      slots: this.#slots,
      limits,
      owner: this.#owner,
      token: tokens.next(),
      holder,
      guarded: guards.enabled,
      requester: this.#requester,
      ttl,
    };
    new AcquireRound(this.#context, identity, this).ask();
  }

  /** False after slow answers, or in a blocked process: the lock would be about to end. */
  #isLongEnough(lease: Lease): boolean {
    return lease.usableUntil - this.#context.clock.now() >= smallestGrant(this.#request.ttl);
  }
}

const SPLIT: Verdict = { kind: "split", blockers: [] };

/** Whether a further round with a higher token may do better: be granted, or join the wait lists that this one did not. */
function needsHigherToken({ verdict, votes, lease }: AcquireRound): boolean {
  if (verdict.kind === "stale") return true;
  return verdict.kind === "conflict" && hasNotJoined(lease.identity, votes);
}

/** A master cannot tell a token that is not above its mark from a late request, so it adds no waiter for it. */
function hasNotJoined({ token, requester }: LockIdentity, votes: readonly Vote[]): boolean {
  return (
    requester.joins !== undefined &&
    votes.some((vote) => vote.kind === "busy" && vote.mark >= token)
  );
}

function withGuardFailure(vote: Vote, failure: string | undefined): Vote {
  if (vote.kind !== "barred" || vote.reason !== "unarmed" || failure === undefined) return vote;
  return { ...vote, cause: `${vote.cause}; ${failure}` };
}

function tooLate(vote: Vote, ttl: number): Vote {
  if (vote.kind !== "granted") return vote;
  const error = new NodeError("timed-out", `answered too late for a ttl of ${ttl} ms`);
  return { kind: "failed", error };
}
