import { LONGEST_HOLDER_TEXT } from "../lock/stored-lock.ts";
import type { StoredWaiter } from "../lock/wait-list-hooks.ts";
import { RETRY_RECORD } from "./reservations-lua.ts";

// The floor of the jobs does not import from lock/.
export type { StoredWaiter } from "../lock/wait-list-hooks.ts";

/** A job or an `acquire()` call that is, or may be, in wait lists. */
export interface Waiter {
  /** See `wait-list-lua.ts`; the same however often the same waiter joins. */
  readonly position: string;
  /** A smaller number comes first. */
  readonly priority: number;
  /** The queue of a job; empty for other waiters. */
  readonly queueId: string;
  /** Counts the runs of the same waiter: what an earlier run leaves undone, or does late, does not affect a later one. */
  readonly run: number;
  /** Counts the joins within a run, so that what an old join wrote differs from what a new one does. @defaultValue 0 */
  readonly joinNumber?: number;
  /** Whether a later waiter may replace it, and it may replace an earlier one. */
  readonly replaceable: boolean;
  /**
   * The waiters that must have had a free key before it. With a list, also an empty one, the waiter goes before none that is in the
   * wait list. Without a list the first that asks gets a free key.
   */
  readonly behind?: readonly Predecessor[];
  /** Whether its keys stay reserved for it until it is done, also when it fails or dies in between. @defaultValue false */
  readonly keepsRetries?: boolean;
}

/** A waiter that comes before another one, and may be in no wait list yet. */
export interface Predecessor extends Pick<Waiter, "position" | "priority"> {
  /** The keys that both want. */
  readonly keys: readonly string[];
}

/** `parked` in its queue; `arriving`, about to be parked, and then it checks its keys itself; or `live`, in a process. */
export type WaitingState = "parked" | "arriving" | "live";

const STATES: Readonly<Record<string, WaitingState>> = { p: "parked", a: "arriving", l: "live" };

/** The parts of a record. */
interface WaiterRecord {
  readonly state: WaitingState;
  readonly replaceable: boolean;
  readonly run: number;
  /** How many holders it allows. */
  readonly limit: number;
  readonly process: string;
}

const RECORD = /^([pal])(r?)(\d+)(?:\.\d+)?(?:\/(\d+))?@([\w-]+)$/;

/** Reads a record; `undefined` when it is none of ours. */
export function parseWaiterRecord(record: string): WaiterRecord | undefined {
  const parts = RECORD.exec(record);
  if (parts === null) return undefined;
  const [, kind = "", flag, run, limit = 1, process = ""] = parts;
  const state = STATES[kind] ?? "parked";
  return { state, replaceable: flag === "r", run: Number(run), limit: Number(limit), process };
}

/** Whether a job is about to be parked. */
export function isArriving({ record }: Pick<StoredWaiter, "record">): boolean {
  return record.startsWith("a");
}

/** The {@link Waiter.joinNumber} of a job that joins as parked before it is moved to the delayed set. */
export const AHEAD = 1;

/** Whether a job has joined as parked before it was moved to the delayed set: it may still be active, in the same run. */
export function isAheadOfMove({ record }: Pick<StoredWaiter, "record">): boolean {
  return /^pr?\d+\.\d/.test(record);
}

/** How many holders a waiter allows. */
export function limitOf({ record }: Pick<StoredWaiter, "record">): number {
  return parseWaiterRecord(record)?.limit ?? 1;
}

/** Whether a waiter is live in a process. */
export function isLive({ record }: Pick<StoredWaiter, "record">): boolean {
  return record.startsWith("l");
}

/** Whether both depend on the same process: each is live in it, or is, or may be, about to be parked by it. */
export function dependTogether(
  one: Pick<StoredWaiter, "record">,
  other: Pick<StoredWaiter, "record">,
): boolean {
  const process = dependsOn(one);
  return process !== undefined && process === dependsOn(other);
}

function dependsOn(waiter: Pick<StoredWaiter, "record">): string | undefined {
  const parsed = parseWaiterRecord(waiter.record);
  const isParked = parsed?.state === "parked" && !isAheadOfMove(waiter);
  // The record of an absentee names the process that has put it there.
  return isParked || isAbsentee(waiter) ? undefined : parsed?.process;
}

/** Whether a key is kept for a job that will run again, and that is in no wait list. */
export function isRetry({ record }: Pick<StoredWaiter, "record">): boolean {
  return record === RETRY_RECORD;
}

/** Whether another job has put this one in the wait list, before it has asked for its key. */
export function isAbsentee({ record }: Pick<StoredWaiter, "record">): boolean {
  return parseWaiterRecord(record)?.run === 0;
}

/** Writes a record. */
export function formatWaiterRecord(
  { state, replaceable, run, limit, process }: WaiterRecord,
  joinNumber = 0,
): string {
  const count = `${run}${joinNumber === 0 ? "" : `.${joinNumber}`}${limit === 1 ? "" : `/${limit}`}`;
  return `${state.charAt(0)}${replaceable ? "r" : ""}${count}@${process}`;
}

/** Digits of the time in a position: milliseconds since 1970, until the year 2286. */
const TIME_DIGITS = 13;
const LENGTH_DIGITS = 4;

/** How the queueIds of waiters that are no jobs begin. */
const LIVE = "~";

/** A waiter that is no job. `id` is unique in its process and has no space; operators see `text`. */
export function liveWaiter(since: number, process: string, id: string, text: string): Waiter {
  const queueId = `${LIVE}${process}`;
  // The text does not count for the order. Redis would store half a surrogate pair as another character.
  const stored = text.slice(0, LONGEST_HOLDER_TEXT).toWellFormed();
  const position = `${positionOf(since, queueId, id)} ${stored}`;
  return { position, priority: 0, queueId, run: 1, replaceable: false };
}

/**
 * The position of a waiter that has waited since `since`, in ms since 1970. Equal times are ordered by the queueId, and then by the
 * id: shorter ids first, so that 9 comes before 10.
 */
export function positionOf(since: number, queueId: string, id: string): string {
  const time = String(Math.min(Math.max(0, Math.floor(since)), 10 ** TIME_DIGITS - 1));
  const length = String(id.length).padStart(LENGTH_DIGITS, "0");
  return `${time.padStart(TIME_DIGITS, "0")}:${encodeQueueId(queueId)}:${length}:${id}`;
}

/** The parts of a position. */
interface ParsedPosition {
  readonly since: number;
  readonly queueId: string;
  readonly id: string;
  /** Describes a waiter that is no job; `undefined` for a job. */
  readonly text: string | undefined;
}

/** Reads a position; `undefined` when it is none of ours. */
export function parsePosition(position: string): ParsedPosition | undefined {
  const parts = /^(\d{13}):([^:]*):\d{4,}:([^]*)$/.exec(position);
  if (parts === null) return undefined;
  const [, time, encoded = "", id = ""] = parts;
  const since = Number(time);
  const queueId = decodeURIComponent(encoded);
  if (!encoded.startsWith(LIVE)) return { since, queueId, id, text: undefined };
  const [, own = "", text = ""] = /^(\S*) ?([^]*)$/.exec(id) ?? [];
  return { since, queueId, id: own, text };
}

/** A queueId as positions have it. */
export function encodeQueueId(queueId: string): string {
  return encodeURIComponent(queueId);
}

/** The encoded queueId in a position. */
export function queueIdIn(position: string): string {
  return position.split(":", 2)[1] ?? "";
}

/** Orders waiters as wait lists do. */
export function compareWaiters(
  a: Pick<StoredWaiter, "priority" | "position">,
  b: Pick<StoredWaiter, "priority" | "position">,
): number {
  if (a.priority !== b.priority) return a.priority - b.priority;
  return a.position < b.position ? -1 : a.position > b.position ? 1 : 0;
}
