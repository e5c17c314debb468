import { keyOfSlot } from "./slots.ts";

/**
 * What a lock master stores, for a prefix P and a key K:
 *
 * - `P K`: the lock, `<fencing token>:<owner>:<holder text>`, with a ttl; `P@slot:i:K` for a further slot i of a key with a limit, whose
 *   marks and reservation are named alike, see `slots.ts`. {@link KEPT} is before the text when the holder is
 *   done and the key only kept for a while. Any other content is the lock of another program.
 * - `P@node`: the guard, `<server>:<state>:<armed at>:<ready at>:<longest ttl>:<agreed ttl>`, times by the master's clock;
 *   see `guard.ts`.
 * - `P@fence:K`: `<mark>:<closed>`. `mark` is the highest token accepted or released here: a later or repeated request
 *   with a token that is not higher is refused. No holder with a token up to `closed` can be alive.
 * - `P@reserved:K`: `<token>:<position>`: as long as it exists the free key is granted to no other position. `<token>k:` is
 *   kept for a job that has failed, or whose process may die.
 * - `P@waiters:K` and `P@waiter:K`: the wait list of the key, a sorted set, and the records of its waiters, a hash: see
 *   `waiters/wait-list-lua.ts`.
 * - `P@waiting`: exists as long as any key may have a wait list or a reservation.
 * - `P@newest:K`: a hash, for jobs that a later one replaces, and for jobs in strict order: see `waiters/newest-lua.ts`.
 * - `P@limits:K`: a sorted set: the limits that clients have used the key with, by the time of their last use.
 * - `P@due:Q` and `P@queues`: what is known of queues, see `waiters/queues-lua.ts`.
 * - `P@request:K`: a request to the holder, see `waiters/cancel-operation.ts`.
 *
 * A key never begins with `@`, so that the lock and the rest cannot collide.
 */
export interface Names {
  readonly prefix: string;
  lock(key: string): string;
  fence(key: string): string;
  /** The guard of the master itself. */
  readonly guard: string;
  /** The wait list of a key. */
  waiters(key: string): string;
  /** The records of its waiters. */
  waiter(key: string): string;
  reservation(key: string): string;
  /** The flag that there may be a wait list or a reservation. */
  readonly waiting: string;
  /** The channel on which a process learns that a key is reserved for one of its waiters. */
  wake(process: string): string;
  /** The keys that parked jobs of a queue wait for. */
  due(queueId: string): string;
  readonly queues: string;
  /** A request to the holder. */
  request(key: string): string;
  newest(key: string): string;
  limits(key: string): string;
  /** The channel on which holders are asked to stop. */
  readonly cancelled: string;
}

/** What is between the prefix and the key in the names of a reservation and of a wait list. */
export const RESERVED = "@reserved:";
export const WAITERS = "@waiters:";

/** What follows the prefix in the name of the flag that there may be such a one. */
export const WAITING = "@waiting";

/** The names under a prefix; the key may be the name of a slot, which has the wait list of its key. */
export function namesUnder(prefix: string): Names {
  return {
    prefix,
    lock: (key) => `${prefix}${key}`,
    fence: (key) => `${prefix}@fence:${key}`,
    guard: `${prefix}@node`,
    waiters: (key) => `${prefix}${WAITERS}${keyOfSlot(key)}`,
    waiter: (key) => `${prefix}@waiter:${keyOfSlot(key)}`,
    reservation: (key) => `${prefix}${RESERVED}${key}`,
    waiting: `${prefix}${WAITING}`,
    wake: (process) => `${prefix}@wake:${process}`,
    due: (queueId) => `${prefix}@due:${queueId}`,
    queues: `${prefix}@queues`,
    request: (key) => `${prefix}@request:${key}`,
    newest: (key) => `${prefix}@newest:${keyOfSlot(key)}`,
    limits: (key) => `${prefix}@limits:${key}`,
    cancelled: `${prefix}@cancelled`,
  };
}

/**
 * Milliseconds for which a master remembers the marks of a key after it was acquired or extended. It must exceed the longest quarantine
 * of a restarted master plus the allowed difference of the clients' clocks.
 * Fencing tokens stay ordered over the expiry of marks while clocks differ by less than this.
 */
export const RETENTION = 3_600_000;

/** The longest ttl, in ms, that a lock can have: well below the time for which masters remember marks. */
export const LONGEST_TTL = RETENTION / 2;

/** Longest holder text that is stored, in characters; more is cut. */
export const LONGEST_HOLDER_TEXT = 256;

/** Marks the text of a holder that is done, for people: no script decides by it. */
export const KEPT = "[kept] ";

/** The parts of a lock's value. */
export interface StoredLock {
  /** Distinguishes holders: the owner, or the whole value when it is none of ours. */
  readonly id: string;
  readonly token: number | undefined;
  readonly text: string | undefined;
  /** True when the holder is done, and the key only kept until it expires. */
  readonly kept: boolean;
  /** True when the master accepted it in quarantine: it is no vote, and perhaps no lock; else absent. */
  readonly provisional?: true;
}

/** The form of our own values; a `q` in front shows that the master was in quarantine when it accepted. */
const OUR_VALUE = /^q?(\d{1,16}):([\w-]{1,64}):([^]*)$/;

/** Reads the value of `P K`. */
export function parseStoredLock(value: string): StoredLock {
  const parts = OUR_VALUE.exec(value);
  if (parts === null) return { id: value, token: undefined, text: undefined, kept: false };
  const [, token = "", owner = "", stored = ""] = parts;
  const kept = stored.startsWith(KEPT);
  const text = kept ? stored.slice(KEPT.length) : stored;
  const lock = { id: owner, token: Number(token), text: text === "" ? undefined : text, kept };
  return value.startsWith("q") ? { ...lock, provisional: true } : lock;
}
