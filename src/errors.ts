import { printable } from "./printable.ts";

/** The stable codes of this library's errors, see docs/errors.md; messages may change, codes do not. */
export type RedlockErrorCode =
  | "ERR_REDLOCK_CONFLICT"
  | "ERR_REDLOCK_UNAVAILABLE"
  | "ERR_REDLOCK_LOST"
  | "ERR_REDLOCK_CANCELLED"
  | "ERR_REDLOCK_KEY"
  | "ERR_REDLOCK_CONFIG"
  | "ERR_REDLOCK_NOT_READY"
  | "ERR_REDLOCK_CLOSED"
  /** Of `bullmq-redlock/testing`. */
  | "ERR_REDLOCK_NO_SERVER"
  | "ERR_REDLOCK_SERVER_START";

/** The base of every error this library throws of its own. */
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

/** Who holds a key, read from the value stored on the lock masters. */
export interface Holder {
  /** The holder's own description, as it gave it; `undefined` when it gave none or when the value is not ours. */
  text: string | undefined;
  /**
   * The job, when the holder is one; else absent. Also absent when its name, `prefix:queue:id`, has more than 120 characters, or
   * some that cannot be shown, and when an earlier version has stored it.
   */
  job?: HolderJob;
  /** The holder's fencing token; `undefined` when the value is not ours. */
  fencingToken: number | undefined;
  /** When the holder got the key, in milliseconds since 1970 by the holder's clock; `undefined` when the value is not ours. */
  since: number | undefined;
  /** True when the holder is done, and the key only kept until it expires, as `minHold` says; else absent. */
  kept?: true;
}

/** Data of a {@link LockConflictError}. */
export interface LockConflict {
  /** All keys that were asked for. */
  keys: readonly string[];
  /** The key that is not to be had. */
  key: string;
  /** Who holds it; `undefined` when it is `reserved`, and when several contenders hold a part each and none has won. */
  holder: Holder | undefined;
  /** True when nobody holds the key, and it is only kept for the next in line; else absent. */
  reserved?: true;
  /** Milliseconds until the key expires if its holder stops extending it, or until it is kept for the next in line no longer. */
  retryAfter: number;
  /** How many of its own queue wait before the caller, if it is near the front of the line; else how many wait in all. */
  ahead: number;
  /**
   * How many others wait for the key, by the master that knows most of them; of jobs that conflict at once, each counts those that
   * came before it. Absent for a caller that is not in line: `acquire`, and jobs under `"wait"`, `"skip"` and `"fail"`.
   */
  waiting?: number;
}

/** Somebody else holds the key, or comes first. Nothing is wrong; try later. */
export class LockConflictError extends RedlockError implements LockConflict {
  override readonly name = "LockConflictError";
  readonly code = "ERR_REDLOCK_CONFLICT";
  readonly keys: readonly string[];
  readonly key: string;
  readonly holder: Holder | undefined;
  readonly reserved?: true;
  readonly retryAfter: number;
  readonly ahead: number;
  readonly waiting?: number;

  constructor(conflict: LockConflict) {
    super(describeConflict(conflict));
    this.keys = conflict.keys;
    this.key = conflict.key;
    this.holder = conflict.holder;
    if (conflict.reserved === true) this.reserved = true;
    this.retryAfter = conflict.retryAfter;
    this.ahead = conflict.ahead;
    if (conflict.waiting !== undefined) this.waiting = conflict.waiting;
  }
}

function describeConflict({ key, holder, reserved, retryAfter }: LockConflict): string {
  const what = quoteKeys([key]);
  const ms = Math.round(retryAfter);
  if (reserved === true) return `${what} is kept for the next in line, for ${ms} ms at most`;
  if (holder?.kept)
    return `${what} is kept by minHold for ${ms} ms; ${describeHolder(holder)} is done`;
  const by = describeHolder(holder);
  if (holder === undefined)
    return `${what} is held by ${by}; what they hold expires within ${ms} ms`;
  return `${what} is held by ${by}; it expires in ${ms} ms unless extended`;
}

/** Says who holds a key, for people. */
export function describeHolder(holder: Holder | undefined): string {
  if (holder === undefined) return "several contenders, none with a quorum";
  if (holder.fencingToken === undefined) return "another program";
  return holder.text === undefined || holder.text === ""
    ? `the holder of fencing token ${holder.fencingToken}`
    : printable(holder.text);
}

/** What one lock master said, for error messages and events. */
export interface NodeVote {
  /** The master, as `host:port` or `host:port/db`, never with credentials. */
  node: string;
  /** `granted`, `held` (by somebody else), or why it did not count; `quarantined` and `unarmed` after a loss of memory. */
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

/** Data of a {@link LockUnavailableError}. */
export interface Unavailability {
  keys: readonly string[];
  votes: readonly NodeVote[];
  /** How many nodes must answer. */
  quorum: number;
  /** Milliseconds each node had. */
  nodeTimeout: number;
}

/** Too few lock masters answered to know anything. Whether the key is free is unknown. */
export class LockUnavailableError extends RedlockError implements Unavailability {
  override readonly name = "LockUnavailableError";
  readonly code = "ERR_REDLOCK_UNAVAILABLE";
  readonly keys: readonly string[];
  readonly votes: readonly NodeVote[];
  readonly quorum: number;
  readonly nodeTimeout: number;

  constructor(unavailability: Unavailability) {
    super(printable(describeUnavailability(unavailability)));
    this.keys = unavailability.keys;
    this.votes = unavailability.votes;
    this.quorum = unavailability.quorum;
    this.nodeTimeout = unavailability.nodeTimeout;
  }
}

function describeUnavailability({ keys, votes, quorum, nodeTimeout }: Unavailability): string {
  const answered = votes.filter(({ vote }) => isAnswer(vote)).length;
  const silent = votes
    .filter(({ vote }) => !isAnswer(vote))
    .map((said) => `${said.node} ${explainVote(said)}`);
  const barred = votes.some(({ vote }) => vote === "quarantined" || vote === "unarmed");
  return (
    `${quoteKeys(keys)}: ${answered} of ${votes.length} nodes ${barred ? "voted" : "answered"} within ${nodeTimeout} ms (need ${quorum})` +
    (silent.length === 0 ? "" : `: ${silent.join(", ")}`)
  );
}

/** Says for people what a master said. */
export function explainVote({ vote, cause }: { vote: string; cause: string | undefined }): string {
  const words = vote.replace("-", " ");
  return cause === undefined ? words : `${words} (${cause})`;
}

function isAnswer(vote: NodeVote["vote"]): boolean {
  return vote === "granted" || vote === "held" || vote === "free" || vote === "gone";
}

/** Why a lock was lost. */
export type LossReason =
  /** A majority of masters says the key is gone or belongs to somebody else. */
  | "taken"
  /** The lock could not be extended before it would have ended. */
  | "expired"
  /**
   * The event loop was blocked, or the machine suspended, until it was too late to extend: take a larger ttl, or run work
   * that does not let go of the event loop in a child process, by `LockedWorker`.
   */
  | "blocked"
  /** The heartbeat is off and the ttl is over. */
  | "ended"
  /** It was held for `maxHold`. */
  | "held-too-long"
  /** It was given back already. */
  | "released"
  /** The `Redlock` was closed. */
  | "closed"
  /** BullMQ's own lock of the job was lost: another worker may run the job. */
  | "job-lock-lost"
  /** There was no lock: the job has no key, or a policy let it run without. */
  | "unlocked";

/** Data of a {@link LockLostError}. */
export interface Loss {
  keys: readonly string[];
  reason: LossReason;
  fencingToken: number;
  /** Milliseconds the lock was held until the loss was noticed. */
  heldFor: number;
  /** What the masters said last, when that is the reason. */
  votes?: readonly NodeVote[];
  /** Milliseconds for which, at least, nothing could run, when the reason is `blocked`. */
  blockedFor?: number | undefined;
}

/** We held the lock and no longer do, or can no longer be sure. Stop work on the entity now. */
export class LockLostError extends RedlockError implements Loss {
  override readonly name = "LockLostError";
  readonly code = "ERR_REDLOCK_LOST";
  readonly keys: readonly string[];
  readonly reason: LossReason;
  readonly fencingToken: number;
  readonly heldFor: number;
  readonly votes: readonly NodeVote[];
  /** Milliseconds; `undefined` unless the reason is `blocked`. */
  readonly blockedFor: number | undefined;

  constructor(loss: Loss) {
    super(printable(describeLoss(loss)));
    this.keys = loss.keys;
    this.reason = loss.reason;
    this.fencingToken = loss.fencingToken;
    this.heldFor = loss.heldFor;
    this.votes = loss.votes ?? [];
    this.blockedFor = loss.blockedFor;
  }
}

function describeLoss({ keys, reason, heldFor, votes = [], blockedFor = 0 }: Loss): string {
  if (reason === "unlocked") return "no lock is held: the job runs without one";
  const why = {
    taken: "a majority of the nodes no longer holds it for us",
    expired: "it could not be extended in time",
    blocked:
      `the event loop was blocked (or the machine suspended) for at least ${Math.round(blockedFor)} ms, so that it could not be extended in time; ` +
      "take a larger ttl, or run such work in a child process (LockedWorker)",
    ended: "its ttl is over and the heartbeat is off",
    "held-too-long": "its maxHold is over",
    released: "it was released",
    closed: "the Redlock was closed",
    "job-lock-lost": "BullMQ no longer holds the job's own lock for this worker",
  }[reason];
  const said = votes
    .filter(({ vote }) => vote !== "granted")
    .map((said) => `${said.node} ${explainVote(said)}`);
  return (
    `${keys.length === 0 ? "the job" : `the lock on ${quoteKeys(keys)}`} was lost after ${Math.round(heldFor)} ms: ${why}` +
    (said.length === 0 ? "" : `: ${said.join(", ")}`)
  );
}

/** Where a {@link LockKeyError} comes from. */
export interface KeyProblem {
  /** What is wrong: found and expected. */
  message: string;
  /** The path in the job that is at fault, such as `data.accountId`. */
  path?: string;
  /** The job, as `queue:id`. */
  job?: string;
  /** What caused it, when another error did. */
  cause?: unknown;
}

/** A lock key could not be made, or is not a key. No retry mends it. */
export class LockKeyError extends RedlockError {
  override readonly name = "LockKeyError";
  readonly code = "ERR_REDLOCK_KEY";
  readonly path: string | undefined;
  readonly job: string | undefined;

  constructor({ message, path, job, cause }: KeyProblem) {
    super(
      printable(job === undefined ? message : `job ${job}: ${message}`),
      cause === undefined ? undefined : { cause },
    );
    this.path = path;
    this.job = job;
  }
}

/** Where a {@link LockConfigError} comes from. */
export interface ConfigProblem {
  /** The option, such as `nodes[1].port`. */
  path: string;
  /** What was found, in words. */
  found: string;
  /** What was expected, in words. */
  expected: string;
}

/** An option that cannot work. Thrown at construction, before anything runs. */
export class LockConfigError extends RedlockError implements ConfigProblem {
  override readonly name: "LockConfigError" | "LockRulesError" = "LockConfigError";
  readonly code = "ERR_REDLOCK_CONFIG";
  readonly path: string;
  readonly found: string;
  readonly expected: string;

  constructor({ path, found, expected }: ConfigProblem) {
    super(`${path}: found ${found}, expected ${expected}`);
    this.path = path;
    this.found = found;
    this.expected = expected;
  }
}

/** The `Redlock` was closed, or, in tests, the `MemoryNodes` of it. */
export class RedlockClosedError extends RedlockError {
  override readonly name = "RedlockClosedError";
  readonly code = "ERR_REDLOCK_CLOSED";

  constructor(message = "this Redlock is closed; make a new one, or close it later") {
    super(message);
  }
}

/** Writes keys for people, in one line: `"a"` or `"a", "b"`. */
export function quoteKeys(keys: readonly string[]): string {
  return keys.map((key) => `"${printable(key)}"`).join(", ");
}

/** Says of what kind a value is that may be a secret, or hold one: texts and numbers are not repeated. */
export function describeKind(value: unknown): string {
  if (typeof value === "string") return value === "" ? "an empty text" : "a text";
  return typeof value === "number" || typeof value === "bigint" ? "a number" : describeValue(value);
}

/** Describes a value in an error message, short and safe for any value. */
export function describeValue(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "nothing";
  if (typeof value === "string")
    return value.length <= 60 ? JSON.stringify(value) : `${JSON.stringify(value.slice(0, 57))}...`;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint")
    return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  return "an object";
}
