import type { StoredWaiter } from "../lock/wait-list-hooks.ts";

export type { StoredWaiter } from "../lock/wait-list-hooks.ts";

/** Who stands, or may stand, in a line. */
export interface Waiter {
  /** See `lock/line-script.ts`; the same however often the same waiter joins. */
  readonly position: string;
  /** Smaller comes first. */
  readonly priority: number;
  /** The queue of a job; empty for others. */
  readonly queueId: string;
  /** Counts the runs of the same waiter: what an earlier one leaves undone, or does late, is not the later one's. */
  readonly run: number;
  /** Counts the times it has joined within a run, so that an old entry is told from a new one. @defaultValue 0 */
  readonly entry?: number;
  /** Whether a later one may replace it, and it an earlier one. */
  readonly replaceable: boolean;
  /**
   * Those that must have had a free key before it; with a list, also an empty one, it does not go before any that is in line. Absent:
   * a free key is had by the first that asks.
   */
  readonly behind?: readonly Pick<Waiter, "position" | "priority">[];
}

/**
 * How somebody waits: `parked` in its queue; `arriving`, about to be parked, when it will look itself; or `live`, in a
 * process that hears its call.
 */
export type WaitingState = "parked" | "arriving" | "living";

const STATES: Readonly<Record<string, WaitingState>> = {
  p: "parked",
  a: "arriving",
  l: "living",
};

/** What a detail says. */
export interface WaiterRecord {
  readonly state: WaitingState;
  readonly replaceable: boolean;
  readonly run: number;
  readonly process: string;
}

const DETAIL = /^([pal])(r?)(\d+)(?:\.\d+)?@([\w-]+)$/;

/** Reads a detail; `undefined` when it is none of ours. */
export function parseWaiterRecord(record: string): WaiterRecord | undefined {
  const parts = DETAIL.exec(record);
  if (parts === null) return undefined;
  const [, kind = "", flag, run, process = ""] = parts;
  const state = STATES[kind] ?? "parked";
  return { state, replaceable: flag === "r", run: Number(run), process };
}

/** Whether somebody is about to be parked. */
export function isArriving({ record }: Pick<StoredWaiter, "record">): boolean {
  return parseWaiterRecord(record)?.state === "arriving";
}

/** Whether others have put it in line, before it has asked for its key. */
export function isAbsentee({ record }: Pick<StoredWaiter, "record">): boolean {
  return parseWaiterRecord(record)?.run === 0;
}

/** Writes a detail. */
export function formatWaiterRecord(
  { state, replaceable, run, process }: WaiterRecord,
  entry = 0,
): string {
  const count = entry === 0 ? run : `${run}.${entry}`;
  return `${state.charAt(0)}${replaceable ? "r" : ""}${count}@${process}`;
}

/** Digits of the time in a place: milliseconds since 1970, until the year 2286. */
const TIME_DIGITS = 13;
const LENGTH_DIGITS = 4;

/**
 * The place of something that has waited since `since`, in ms since 1970. Of equal times the home decides, and then the
 * id: shorter ones first, so that 9 comes before 10.
 */
export function positionOf(since: number, queueId: string, id: string): string {
  const time = String(Math.min(Math.max(0, Math.floor(since)), 10 ** TIME_DIGITS - 1));
  const length = String(id.length).padStart(LENGTH_DIGITS, "0");
  return `${time.padStart(TIME_DIGITS, "0")}:${encodeQueueId(queueId)}:${length}:${id}`;
}

/** Reads the time, the home and the id of a place; `undefined` when it is none of ours. */
export function parsePosition(
  position: string,
): { since: number; queueId: string; id: string } | undefined {
  const parts = /^(\d{13}):([^:]*):\d{4,}:([^]*)$/.exec(position);
  if (parts === null) return undefined;
  const [, since, queueId = "", id = ""] = parts;
  return { since: Number(since), queueId: decodeURIComponent(queueId), id };
}

/** A home as it stands in places. */
export function encodeQueueId(queueId: string): string {
  return encodeURIComponent(queueId);
}

/** The home in a place, as it stands there. */
export function queueIdIn(position: string): string {
  return position.split(":", 2)[1] ?? "";
}

/** Orders waiters as lines do. */
export function compareWaiters(a: StoredWaiter, b: StoredWaiter): number {
  if (a.priority !== b.priority) return a.priority - b.priority;
  return a.position < b.position ? -1 : a.position > b.position ? 1 : 0;
}
