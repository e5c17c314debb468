import { listOf } from "../redis/operation.ts";
import type { LockIdentity, Requester } from "./lock-identity.ts";

/**
 * What the operations of locks know of wait lists.
 *
 * To them a free key is either reserved or not. What a conflict, a grant and a release mean to the waiters is decided by Lua
 * functions, the hooks, which the script defines before the operations:
 *
 * `key` is the name of a slot for a key with a limit; its wait list is that of the key.
 *
 * - `requesterOf(argv, from, count)` reads what {@link formatRequester} writes about a requester that wants so many keys; nil for one
 *   without a position.
 * - `reservedFor(prefix, key, requester)` returns the position, the token and the remaining ms of
 *   the reservation that keeps a free key from a requester, or nil. The requester may be nil.
 * - `replacedBy(prefix, key, requester)` returns the position of a later job that replaces the requester, or nil.
 * - `freeSlots(prefix, key, limit, requester)` returns the slots of the key that the requester can have, as a list with commas.
 * - `onConflict(prefix, key, requester, token, rest, isNew, limit, own)` runs when the key is held
 *   under `token`, or reserved (nil), for `rest` ms; `own` is the token of the requester. The
 *   requester joins the wait list only if `isNew`. It returns `ahead`, `waiting` and `later` of
 *   {@link KeyHolder}.
 * - `onGrant(prefix, key, requester, token, limit)` runs when the requester has the key.
 * - `onHold(prefix, key, ms)` runs when the key was released, and stays taken for `ms`.
 * - `onExtend(prefix, key, token, position)` runs when a lock was extended whose keys stay reserved until its job is done.
 * - `onRelease(prefix, key, token, isHeld, argv, from, rest, isLast, isNew)` runs when the key was
 *   released or, unless `isHeld`, an attempt was rolled back. `argv` has what
 *   {@link formatReleaser} writes; `rest` is the ms for which the key stays taken, nil when it is free;
 *   `isLast` tells that the key has had no later holder, and `isNew` that this master has executed
 *   neither this release nor a later one. It returns a {@link ReservationReply}, or nil when the
 *   key is free and has no waiters.
 * - `waitersOf(prefix, key, from, to)` returns the number of waiters, positions and priorities of some of them, and the
 *   reservation of the key: position, 1 when it is kept for a retry, and ms; an empty list when there is none.
 */

/** A waiter, as a master names it. */
export interface StoredWaiter {
  readonly position: string;
  readonly record: string;
  readonly priority: number;
}

/** A waiter for which a slot is reserved. */
export interface ReservedSlot {
  readonly slot: number;
  readonly position: string;
  readonly priority: number;
}

/** What a master answers about the reservation of one key. */
export type ReservationReply =
  /** The key is held, for so many milliseconds if nothing is extended; -1 when the lock has no end. */
  | { readonly status: "held"; readonly expiresIn: number; readonly waiting: number }
  /** The key is free and was reserved for `position` before; `record` is empty when that is not in this wait list. */
  | {
      readonly status: "reserved";
      readonly position: string;
      readonly record: string;
      readonly token: number;
      readonly expiresIn: number;
      readonly waiting: number;
    }
  /** The key is free and, from now on, reserved for the first of these. */
  | {
      readonly status: "next";
      readonly waiting: number;
      readonly waiters: readonly StoredWaiter[];
      /** The waiters that have a reservation of another slot. */
      readonly others: readonly ReservedSlot[];
      /** Whether it was the last one for which this master has reserved the key, and has let that reservation expire. */
      readonly missed: boolean;
    }
  /** The key is free and not reserved; `waiting` counts waiters of skipped queues. */
  | { readonly status: "free"; readonly waiting: number };

/** A free key without waiters. */
export const FREE: ReservationReply = { status: "free", waiting: 0 };

/** Reads a reply of the hook `onRelease`. */
export function parseReservation(raw: unknown): ReservationReply {
  const [status, first, second, third, fourth, fifth] = listOf(raw);
  if (status === "FREE") return { status: "free", waiting: Number(first) };
  if (status === "HELD") {
    return { status: "held", expiresIn: Number(first), waiting: Number(second) };
  }
  if (status === "RESERVED") {
    return {
      status: "reserved",
      position: String(first),
      record: String(fifth),
      token: Number(second),
      expiresIn: Number(third),
      waiting: Number(fourth),
    };
  }
  if (status === "NEXT") {
    return {
      status: "next",
      waiting: Number(first),
      waiters: parseWaiters(second),
      others: parseOthers(third),
      missed: Number(fourth) === 1,
    };
  }
  throw new Error(`an unknown status ${String(status)}`);
}

function parseOthers(raw: unknown): ReservedSlot[] {
  return listOf(raw).map((entry) => {
    const [slot, position, priority] = listOf(entry);
    return { slot: Number(slot), position: String(position), priority: Number(priority) };
  });
}

/** Reads a list of waiters. */
export function parseWaiters(raw: unknown): StoredWaiter[] {
  return listOf(raw).map((entry) => {
    const [position, record, priority] = listOf(entry);
    return { position: String(position), record: String(record), priority: Number(priority) };
  });
}

/** An unresponsive queue: its workers do not take up the jobs that are woken. */
export interface SkippedQueue {
  readonly queueId: string;
  /** Milliseconds since it was found unresponsive. */
  readonly age: number;
}

/** Writes a queue for the script. */
export function formatSkipped({ queueId, age }: SkippedQueue): string {
  return `${Math.ceil(age)}:${queueId}`;
}

/** Writes a requester for the hook `requesterOf`. */
export function formatRequester({
  position,
  replaceable,
  run,
  joins,
  behind,
}: Requester): (string | number)[] {
  if (position === "") return [];
  const others =
    behind?.others.flatMap(({ priority, position, keys }) => [
      priority,
      position,
      JSON.stringify(keys),
    ]) ?? [];
  return [
    position,
    run,
    replaceable ? 1 : 0,
    joins?.priority ?? 0,
    joins?.record ?? "",
    joins?.replaces === true ? 1 : 0,
    behind?.priority ?? "",
    behind?.record ?? "",
    ...others,
  ];
}

/** What a release sends to the wait list of each key. */
export interface Releaser {
  readonly requester: Requester;
  /** The position of a job that has succeeded, and replaces earlier ones from now on; else empty. */
  readonly done: string;
  /** Whether the key stays reserved for the position of the requester, which will ask for it again. @defaultValue false */
  readonly keepsRetry?: boolean | undefined;
  /** The queues whose waiters are skipped. */
  readonly skipped: readonly SkippedQueue[];
}

/** Writes what the hook `onRelease` reads. */
export function formatReleaser({
  requester,
  done,
  keepsRetry = false,
  skipped,
}: Releaser): (string | number)[] {
  const { position, run, process, queueId, behind } = requester;
  const flags = [keepsRetry ? 1 : 0, behind === undefined ? 0 : 1];
  return [position, run, process, queueId, done, ...flags, ...skipped.map(formatSkipped)];
}

/** Writes the limits, the prefix, and the position for the hook `onExtend`; nothing for a lock without limits and that hook. */
export function formatExtender({
  names,
  limits,
  requester: { position, keepsRetries = false },
}: LockIdentity): string[] {
  if (limits === undefined && !keepsRetries) return [];
  const written = limits === undefined ? "" : JSON.stringify(limits);
  return [written, names.prefix, ...(keepsRetries ? [position] : [])];
}
