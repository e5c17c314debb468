import { printable } from "./printable.ts";
import { count, explainVote, isAnswer, isBarred, quoteKeys } from "./sentences.ts";

/** The stable codes of this library's errors, see docs/errors.md; messages may change. */
export type RedlockErrorCode =
  | "ERR_REDLOCK_CONFLICT"
  | "ERR_REDLOCK_UNAVAILABLE"
  | "ERR_REDLOCK_LOST"
  | "ERR_REDLOCK_CANCELLED"
  | "ERR_REDLOCK_MAX_AGE"
  | "ERR_REDLOCK_KEY"
  | "ERR_REDLOCK_CONFIG"
  | "ERR_REDLOCK_NOT_READY"
  | "ERR_REDLOCK_CLOSED"
  /** Of `bullmq-redlock/testing`. */
  | "ERR_REDLOCK_NO_SERVER"
  | "ERR_REDLOCK_SERVER_START";

/** The base class of the errors of this library. */
export abstract class RedlockError extends Error {
  abstract readonly code: RedlockErrorCode;
}

/** A job that holds a key. */
export interface HolderJob {
  /** The name of its queue, without the prefix. */
  queue: string;
  id: string;
  /** From 1. */
  attempt: number;
}

/** The holder of a key, read from the value stored on the lock masters. */
export interface Holder {
  /** The holder's description of itself; `undefined` when it gave none, or when another program stored the value. */
  text: string | undefined;
  /**
   * The job, when the holder is one; else absent. Also absent when its name, `prefix:queue:id`, has more than 120 characters
   * or unprintable ones, and when an earlier version stored it.
   */
  job?: HolderJob;
  /** The holder's fencing token; `undefined` when another program stored the value. */
  fencingToken: number | undefined;
  /** When the holder acquired the key, in milliseconds since 1970 by its clock; `undefined` when another program did. */
  since: number | undefined;
  /** The slot that it holds, where the key has a limit; else absent. */
  slot?: number;
  /** True when the holder is done, and `minHold` keeps the key until it expires; else absent. */
  kept?: true;
}

/** Describes a holder. */
export function describeHolder(holder: Holder | undefined): string {
  if (holder === undefined) return "several contenders, none with a quorum";
  if (holder.fencingToken === undefined) return "another program";
  return holder.text === undefined || holder.text === ""
    ? `the holder of fencing token ${holder.fencingToken}`
    : printable(holder.text);
}

/** Another client holds the key, or the key is reserved for a waiter. Nothing is wrong, unless it is `own`; try again later. */
export class LockConflictError extends RedlockError {
  override readonly name = "LockConflictError";
  readonly code = "ERR_REDLOCK_CONFLICT";
  /** All requested keys. */
  readonly keys: readonly string[];
  /** The key that is taken. */
  readonly key: string;
  /**
   * Its holder, one of them where the key has a limit; `undefined` when the key is `reserved`, and when several contenders have a
   * minority each.
   */
  readonly holder: Holder | undefined;
  /** How many holders the caller allows the key, when that is more than one; else absent. */
  declare readonly limit?: number;
  /**
   * True when the key, or with a limit its last free slot, is reserved for the first waiter, or kept for a retry (`retryOrder`);
   * else absent.
   */
  declare readonly reserved?: true;
  /** The job that it is reserved for, as `prefix:queue:id`; absent for a program, and where it is not reserved. */
  declare readonly reservedFor?: string;
  /** True when the caller runs under the lock that is in its way, so that a wait would have no end; else absent. */
  declare readonly own?: true;
  /** True when another program holds the key without an expiry, until it deletes the value; else absent. */
  declare readonly persistent?: true;
  /** Milliseconds until the key expires without an extend, or until its reservation expires; the caller's ttl where neither is known. */
  readonly retryAfter: number;
  /** How many waiters of its own queue are before the caller, if those are few or it is near the front; else how many wait in all. */
  readonly ahead: number;
  /**
   * How many others wait for the key, by the master that knows most of them; of jobs that conflict at once, each counts the
   * earlier ones. Absent for a caller that is in no wait list: `acquire`, and jobs under `"wait"`, `"skip"` and `"fail"`.
   */
  declare readonly waiting?: number;

  constructor(conflict: LockConflict) {
    super(describeConflict(conflict));
    const { keys, key, holder, limit, reserved, reservedFor, own, persistent } = conflict;
    const { retryAfter, ahead, waiting } = conflict;
    this.keys = keys;
    this.key = key;
    this.holder = holder;
    if (limit !== undefined) this.limit = limit;
    if (reserved) this.reserved = reserved;
    if (reservedFor !== undefined) this.reservedFor = reservedFor;
    if (own) this.own = own;
    if (persistent) this.persistent = persistent;
    this.retryAfter = retryAfter;
    this.ahead = ahead;
    if (waiting !== undefined) this.waiting = waiting;
  }
}

/** The data of a {@link LockConflictError}. */
export type LockConflict = Omit<LockConflictError, keyof RedlockError>;

function describeConflict(conflict: LockConflict): string {
  const { key, holder, limit, reserved, reservedFor, persistent, retryAfter } = conflict;
  const what = quoteKeys([key]);
  const ms = Math.round(retryAfter);
  if (conflict.own === true) {
    const taken = limit === undefined ? "is held" : `has ${limit} of ${limit} slots taken`;
    return `${what} ${taken} by the caller itself, ${describeHolder(holder)}: use the lock that it was given; the key is released only when the caller is done`;
  }
  if (limit !== undefined && (reserved === true || holder !== undefined)) {
    return `${what} has ${limit} of ${limit} slots taken, ${describeSlot(conflict, ms)}`;
  }
  if (reserved === true) {
    const waiter = reservedFor === undefined ? "another waiter" : `job ${printable(reservedFor)}`;
    return `${what} is reserved for ${waiter}, for ${ms} ms at most`;
  }
  if (holder?.kept)
    return `${what} is kept by minHold for ${ms} ms; ${describeHolder(holder)} is done`;
  const by = describeHolder(holder);
  if (holder === undefined) return `${what} is held by ${by}; their parts expire within ${ms} ms`;
  if (persistent === true) return `${what} is held by ${by}; ${NEVER_EXPIRES}`;
  return `${what} is held by ${by}; it expires in ${ms} ms unless extended`;
}

/** Of the value of another program. */
const NEVER_EXPIRES = "the value never expires; delete it when that program does not need it";

/** Describes what is in the slot that the caller has asked for. */
function describeSlot({ holder, reserved, persistent }: LockConflict, ms: number): string {
  if (reserved === true) return `one of them reserved for the first waiter, for ${ms} ms at most`;
  const which = `slot ${holder?.slot} by ${describeHolder(holder)}`;
  if (persistent === true) return `${which}; ${NEVER_EXPIRES}`;
  return holder?.kept
    ? `${which}, which is done; minHold keeps it for ${ms} ms`
    : `${which}; it expires in ${ms} ms unless extended`;
}

/** The answer of one lock master, for error messages and events. */
export interface NodeVote {
  /** The master, as `host:port` or `host:port/db`, never with credentials. */
  node: string;
  /**
   * `granted`; `held` by another client; `free`: it would grant; `gone`: it has the lock no longer; `pending`: it has not answered yet;
   * `quarantined` and `unarmed` after a loss of memory; else why it has no vote.
   */
  vote:
    | "granted"
    | "held"
    | "free"
    | "gone"
    | "timed-out"
    | "unreachable"
    | "refused"
    | "duplicate"
    | "quarantined"
    | "unarmed"
    | "pending";
  /** The cause in words, when there is one: "ECONNREFUSED", "NOAUTH ...". */
  cause: string | undefined;
}

/** Too few lock masters answered: it is unknown whether the key is free. */
export class LockUnavailableError extends RedlockError {
  override readonly name = "LockUnavailableError";
  readonly code = "ERR_REDLOCK_UNAVAILABLE";
  readonly keys: readonly string[];
  readonly votes: readonly NodeVote[];
  /** How many masters must answer. */
  readonly quorum: number;
  /** Milliseconds each master had. */
  readonly nodeTimeout: number;

  constructor(unavailability: Unavailability) {
    super(printable(describeUnavailability(unavailability)));
    this.keys = unavailability.keys;
    this.votes = unavailability.votes;
    this.quorum = unavailability.quorum;
    this.nodeTimeout = unavailability.nodeTimeout;
  }
}

/** The data of a {@link LockUnavailableError}. */
type Unavailability = Omit<LockUnavailableError, keyof RedlockError>;

function describeUnavailability({ keys, votes, quorum, nodeTimeout }: Unavailability): string {
  const answered = votes.filter(({ vote }) => isAnswer(vote)).length;
  const silent = votes
    .filter(({ vote }) => !isAnswer(vote))
    .map((each) => `${each.node} ${explainVote(each)}`);
  const barred = votes.some(({ vote }) => isBarred(vote));
  return (
    (keys.length === 0 ? "" : `${quoteKeys(keys)}: `) +
    `${answered} of ${count(votes.length, "master")} ${barred ? "voted" : "answered"} within ${nodeTimeout} ms (need ${quorum})` +
    (silent.length === 0 ? "" : `: ${silent.join(", ")}`)
  );
}

/** Why a lock was lost. */
export type LossReason =
  /** Masters answered that the key is gone or belongs to another client, and no majority holds it for this client. */
  | "taken"
  /** The lock could not be extended before it would have ended. */
  | "expired"
  /**
   * The event loop was blocked, or the machine suspended, until it was too late to extend: use a larger ttl, or run work
   * that blocks the event loop in a child process, by `LockedWorker`.
   */
  | "blocked"
  /** The heartbeat is off and the ttl is over. */
  | "ended"
  /** It was held for `maxHold`. */
  | "held-too-long"
  /** It was released already. */
  | "released"
  /** The `Redlock` was closed. */
  | "closed"
  /** BullMQ's own lock of the job was lost: another worker may run the job. */
  | "job-lock-lost"
  /** There was no lock: the job has no key, or a policy let it run without one. */
  | "unlocked";

/** The lock was held and no longer is, or may no longer be. Stop work on the entity now. */
export class LockLostError extends RedlockError {
  override readonly name = "LockLostError";
  readonly code = "ERR_REDLOCK_LOST";
  readonly keys: readonly string[];
  readonly reason: LossReason;
  readonly fencingToken: number;
  /** Milliseconds the lock was held until the loss was noticed. */
  readonly heldFor: number;
  /** The last answers of the masters, when they are the reason; else none. */
  readonly votes: readonly NodeVote[];
  /** Milliseconds for which, at least, the process could not run, when the reason is `blocked`; else absent. */
  declare readonly blockedFor?: number;

  constructor(loss: Loss) {
    super(printable(describeLoss(loss)));
    this.keys = loss.keys;
    this.reason = loss.reason;
    this.fencingToken = loss.fencingToken;
    this.heldFor = loss.heldFor;
    this.votes = loss.votes ?? [];
    if (loss.blockedFor !== undefined) this.blockedFor = loss.blockedFor;
  }
}

/** The data of a {@link LockLostError}. */
export type Loss = Omit<LockLostError, keyof RedlockError | "votes"> &
  Partial<Pick<LockLostError, "votes">>;

function describeLoss({ keys, reason, heldFor, votes = [], blockedFor = 0 }: Loss): string {
  if (reason === "unlocked") return "no lock is held: the job runs without one";
  const why = {
    taken: "no majority of the masters holds it for this client any more",
    expired: "it could not be extended in time",
    blocked:
      `the event loop was blocked (or the machine suspended) for at least ${Math.round(blockedFor)} ms, so that it could not be extended in time; ` +
      "use a larger ttl, or run such work in a child process (LockedWorker)",
    ended: "its ttl is over and the heartbeat is off",
    "held-too-long": "its maxHold is over",
    released: "it was released",
    closed: "the Redlock was closed",
    "job-lock-lost": "BullMQ no longer holds the job's own lock for this worker",
  }[reason];
  const answers = votes
    .filter(({ vote }) => vote !== "granted")
    .map((each) => `${each.node} ${explainVote(each)}`);
  return (
    `${keys.length === 0 ? "the job" : `the lock on ${quoteKeys(keys)}`} was lost after ${Math.round(heldFor)} ms: ${why}` +
    (answers.length === 0 ? "" : `: ${answers.join(", ")}`)
  );
}

/** The data of a {@link LockKeyError}. `message` reports what was found and what was expected. */
interface KeyProblem extends Pick<LockKeyError, "message" | "path" | "job"> {
  /** Below ES2022, the type of an error has no `cause` to pick. */
  cause?: unknown;
}

/** A lock key could not be made, or is not a key. A retry does not help. */
export class LockKeyError extends RedlockError {
  override readonly name = "LockKeyError";
  readonly code = "ERR_REDLOCK_KEY";
  /** The path in the job, such as `data.accountId`; absent when none is at fault. */
  declare readonly path?: string;
  /** The job, as `queue:id`, or `without an id in queue ...`; absent for a key of no job. */
  declare readonly job?: string;

  constructor({ message, path, job, cause }: KeyProblem) {
    super(
      printable(job === undefined ? message : `job ${job}: ${message}`),
      cause === undefined ? undefined : { cause },
    );
    if (path !== undefined) this.path = path;
    if (job !== undefined) this.job = job;
  }
}

/** An option that cannot work. Thrown at construction, before anything runs. */
export class LockConfigError extends RedlockError {
  override readonly name: "LockConfigError" | "LockRulesError" = "LockConfigError";
  readonly code = "ERR_REDLOCK_CONFIG";
  /** The option, such as `nodes[1].port`. */
  readonly path: string;
  /** What was found, in words. */
  readonly found: string;
  /** What was expected, in words. */
  readonly expected: string;

  constructor({ path, found, expected }: Pick<LockConfigError, "path" | "found" | "expected">) {
    super(`${path}: found ${found}, expected ${expected}`);
    this.path = path;
    this.found = found;
    this.expected = expected;
  }
}

/** The `Redlock` was closed, or in tests its `MemoryNodes`. */
export class RedlockClosedError extends RedlockError {
  override readonly name = "RedlockClosedError";
  readonly code = "ERR_REDLOCK_CLOSED";

  constructor(message = "this Redlock is closed; create a new one, or close this one later") {
    super(message);
  }
}
