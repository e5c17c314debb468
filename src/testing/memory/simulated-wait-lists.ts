import { type Names, RETENTION } from "../../lock/stored-lock.ts";
import type { ReservationReply, StoredWaiter } from "../../lock/wait-list-hooks.ts";
import { FRONT } from "../../waiters/move-operation.ts";
import { HAND_OVER, SLACK, WAIT_LIST_RETENTION } from "../../waiters/queues-lua.ts";
import {
  LIVE_RESERVATION,
  LIVE_RETENTION,
  NAMED,
  NEAR,
  RESERVATION,
  RETRY_RECORD,
  RETRY_RESERVATION,
} from "../../waiters/wait-list-lua.ts";
import { queueIdOf, type SimulatedQueues } from "./simulated-queues.ts";
import type { SimulatedRedis } from "./simulated-redis.ts";

/** The names of one wait list. */
export interface WaitList {
  readonly names: Names;
  readonly key: string;
  readonly waiters: string;
  readonly records: string;
  readonly reservation: string;
  readonly newest: string;
}

/** The twin of `waiters/wait-list-lua.ts` and `waiters/newest-lua.ts`: each method mirrors the Lua function of its name. */
export class SimulatedWaitLists {
  readonly #redis: SimulatedRedis;
  readonly #queues: SimulatedQueues;

  constructor(redis: SimulatedRedis, queues: SimulatedQueues) {
    this.#redis = redis;
    this.#queues = queues;
  }

  reservationOf(
    reservation: string,
  ): { position: string; token: number; isKept: boolean } | undefined {
    const stored = this.#redis.get(reservation) ?? "";
    const [, token, kept, position] = /^(\d+)(k?):([^]+)$/.exec(stored) ?? [];
    if (position === undefined) return undefined;
    return { position, token: Number(token), isKept: kept === "k" };
  }

  noteAlive({ records }: WaitList, process: string): void {
    this.#redis.hset(records, `~${process}`, String(this.#redis.now() + LIVE_RETENTION));
  }

  isAlive({ records }: WaitList, record: string): boolean {
    const [, process] = /^l[^@]*@([^]*)$/.exec(record) ?? [];
    if (process === undefined) return true;
    return Number(this.#redis.hget(records, `~${process}`) ?? 0) >= this.#redis.now();
  }

  leave({ waiters, records }: WaitList, position: string): void {
    if (!this.#redis.zrem(waiters, position)) return;
    if (this.#redis.exists(waiters)) this.#redis.hdel(records, position);
    else this.#redis.del(records);
  }

  leaveRun(list: WaitList, position: string, run: number): void {
    if (!this.#redis.exists(list.waiters)) return;
    const record = this.#redis.hget(list.records, position);
    if (record === undefined || runOf(record) <= run) this.leave(list, position);
  }

  join(list: WaitList, position: string, priority: number, record: string, rest: number): void {
    const { names, key, waiters, records } = list;
    const isAtFront = this.#redis.zscore(waiters, position) === priority - FRONT;
    this.#redis.zadd(waiters, position, isAtFront ? priority - FRONT : priority);
    this.#redis.hset(records, position, record);
    this.#queues.noteServed(names, position);
    this.#queues.setDue(names, key, position, record, rest < 0 ? RESERVATION : rest + SLACK);
    this.#redis.pexpire(waiters, WAIT_LIST_RETENTION);
    this.#redis.pexpire(records, WAIT_LIST_RETENTION);
    const reserved = this.reservationOf(list.reservation);
    if (reserved?.isKept) this.#queues.setDue(names, key, reserved.position, "", RESERVATION);
  }

  aheadOf({ waiters }: WaitList, position: string, rank: number): number {
    if (rank > NEAR) return rank;
    const before = this.#redis.zrange(waiters, 0, rank);
    return before.filter(([other]) => queueIdOf(other) === queueIdOf(position)).length;
  }

  /** The Lua begins behind the skipped waiters that it has noted, and finds the same. */
  firstOf(list: WaitList, skipped: ReadonlySet<string>, skipsPaused: boolean): StoredWaiter[] {
    const first: StoredWaiter[] = [];
    const now = this.#redis.now();
    for (const [position, priority] of this.#redis.zrange(list.waiters)) {
      const queueId = queueIdOf(position);
      const record = this.#redis.hget(list.records, position);
      const isSkipped =
        skipped.has(queueId) ||
        (skipsPaused && this.#queues.pauseOf(list.names, queueId).ends > now);
      if (isSkipped && !isLive(record)) continue;
      const isGone = record === undefined || !this.isAlive(list, record);
      // @protection a waiter stays in the wait list until it has the key
      if (isGone) this.leave(list, position);
      if (!isGone) first.push({ position, record, priority });
      if (first.length === NAMED) break;
    }
    return first;
  }

  reserve({ reservation }: WaitList, token: number, position: string, ms: number): void {
    this.#redis.set(reservation, `${token}:${position}`, ms);
  }

  keepForRetry(list: WaitList, token: number, position: string): ReservationReply {
    this.#redis.set(list.reservation, `${token}k:${position}`, RETRY_RESERVATION);
    const waiting = this.#redis.zcard(list.waiters);
    if (waiting > 0) this.#queues.setDue(list.names, list.key, position, "", RESERVATION);
    const reserved = { position, token, record: RETRY_RECORD, expiresIn: RETRY_RESERVATION };
    return { status: "reserved", ...reserved, waiting };
  }

  wake({ names, key }: WaitList, token: number, position: string, record: string): void {
    const channel = names.wake(record.split("@")[1] ?? "");
    this.#redis.publish(channel, JSON.stringify([key, String(token), position, record]));
    this.#queues.setDue(names, key, position, record, HAND_OVER);
  }

  serve(
    list: WaitList,
    token: number,
    process: string,
    queueId: string,
    skipped: ReadonlySet<string>,
  ): ReservationReply | undefined {
    const { names, key, waiters } = list;
    if (!this.#redis.exists(waiters)) return undefined;
    for (const skippedId of skipped) this.#queues.skipQueue(names, skippedId);
    let first = this.firstOf(list, skipped, true);
    if (first.length === 0) first = this.firstOf(list, skipped, false);
    const [head] = first;
    if (head === undefined) return { status: "free", waiting: this.#redis.zcard(waiters) };
    const { position, record } = head;
    this.reserve(list, token, position, isLive(record) ? LIVE_RESERVATION : RESERVATION);
    const isOwn = record.split("@")[1] === process;
    if (!isOwn && (isLive(record) || queueId === "" || queueIdOf(position) !== queueId)) {
      this.wake(list, token, position, record);
    }
    const isSet = new Set<string>();
    for (const waiter of first) {
      const id = queueIdOf(waiter.position);
      if (!isSet.has(id)) {
        this.#queues.setDue(names, key, waiter.position, waiter.record, HAND_OVER);
      }
      isSet.add(id);
    }
    return { status: "next", waiting: this.#redis.zcard(waiters), waiters: first };
  }

  noteNewest({ newest }: WaitList, field: string, value: string): void {
    this.#redis.hset(newest, field, value);
    this.#redis.pexpire(newest, RETENTION);
  }

  noteDone(list: WaitList, position: string): void {
    const done = this.#redis.hget(list.newest, "done") ?? "";
    if (position > done) this.noteNewest(list, "done", position);
  }

  replaceUpTo({ records }: WaitList, position: string): void {
    if (position > (this.#redis.hget(records, "^") ?? "")) this.#redis.hset(records, "^", position);
  }

  latestOf({ records, newest }: WaitList): string {
    const latest = this.#redis.hget(records, "^") ?? "";
    // @protection the newest job that succeeded is remembered
    const done = this.#redis.hget(newest, "done") ?? "";
    return done > latest ? done : latest;
  }

  laterHolder(list: WaitList, token: number | undefined, position: string): string | undefined {
    const [, held, later = ""] = this.#held(list) ?? [];
    return Number(held) === token && later > position ? later : undefined;
  }

  lastHolder(list: WaitList): string | undefined {
    return this.#held(list)?.[2];
  }

  #held({ newest }: WaitList): RegExpExecArray | null {
    return /^(\d+):([^]*)$/.exec(this.#redis.hget(newest, "held") ?? "");
  }
}

/** {@link WaitList} */
export function waitListOf(names: Names, key: string): WaitList {
  return {
    names,
    key,
    waiters: names.waiters(key),
    records: names.waiter(key),
    reservation: names.reservation(key),
    newest: names.newest(key),
  };
}

/** Whether a record is that of a live waiter. */
export function isLive(record: string | undefined): boolean {
  return record?.startsWith("l") === true;
}

/** The run in a record. */
export function runOf(record: string): number {
  return Number(/^[a-z]+(\d+)/.exec(record)?.[1] ?? 0);
}
