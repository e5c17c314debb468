import type { Holder, LockConflict, Loss, Unavailability } from "./errors.ts";
import { printable } from "./printable.ts";

/** Describes a conflict, for its error. */
export function describeConflict(conflict: LockConflict): string {
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

/** Describes a holder. */
export function describeHolder(holder: Holder | undefined): string {
  if (holder === undefined) return "several contenders, none with a quorum";
  if (holder.fencingToken === undefined) return "another program";
  return holder.text === undefined || holder.text === ""
    ? `the holder of fencing token ${holder.fencingToken}`
    : printable(holder.text);
}

/** Describes an outage, for its error. */
export function describeUnavailability({
  keys,
  votes,
  quorum,
  nodeTimeout,
}: Unavailability): string {
  const answered = votes.filter(({ vote }) => isAnswer(vote)).length;
  const silent = votes
    .filter(({ vote }) => !isAnswer(vote))
    .map((each) => `${each.node} ${explainVote(each)}`);
  const barred = votes.some(({ vote }) => isBarred(vote));
  return (
    `${quoteKeys(keys)}: ${answered} of ${votes.length} nodes ${barred ? "voted" : "answered"} within ${nodeTimeout} ms (need ${quorum})` +
    (silent.length === 0 ? "" : `: ${silent.join(", ")}`)
  );
}

/** Describes the answer of a master. */
export function explainVote({ vote, cause }: { vote: string; cause: string | undefined }): string {
  const words = vote.replace("-", " ");
  return cause === undefined ? words : `${words} (${cause})`;
}

const ANSWERS = ["granted", "held", "free", "gone", "foreign"];

/** Describes why a quarantined master has no vote; `remaining` is in milliseconds. */
export function describeQuarantine(remaining: number | undefined): string {
  const until = remaining === undefined ? "" : `; votes in ${Math.ceil(remaining / 1_000)} s`;
  return `new, or lost its memory${until}`;
}

/** Whether a master has answered without a vote: it is new, or may have forgotten locks. */
export function isBarred(vote: string): boolean {
  return vote === "quarantined" || vote === "unarmed";
}

/** Whether a vote, or the state of a key on a master, is an answer. */
export function isAnswer(vote: string): boolean {
  return ANSWERS.includes(vote);
}

/** Describes a loss, for its error. */
export function describeLoss({ keys, reason, heldFor, votes = [], blockedFor = 0 }: Loss): string {
  if (reason === "unlocked") return "no lock is held: the job runs without one";
  const why = {
    taken: "no majority of the nodes holds it for this client any more",
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

/** Quotes keys for a message: `"a"` or `"a", "b"`. */
export function quoteKeys(keys: readonly string[]): string {
  return keys.map((key) => `"${printable(key)}"`).join(", ");
}

/** Names the kind of a value that may be a secret, or contain one: texts and numbers are not repeated. */
export function describeKind(value: unknown): string {
  if (typeof value === "string") return value === "" ? "an empty text" : "a text";
  return typeof value === "number" || typeof value === "bigint" ? "a number" : describeValue(value);
}

/** Describes any value, short and safe for a message. */
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

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
