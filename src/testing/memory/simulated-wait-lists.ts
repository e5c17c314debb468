import { keyOfSlot, numberOfSlot, slotName } from "../../lock/slots.ts";
import { type Names, RETENTION } from "../../lock/stored-lock.ts";
import type { ReservationReply, ReservedSlot, StoredWaiter } from "../../lock/wait-list-hooks.ts";
import { FRONT_OFFSET } from "../../waiters/move-operation.ts";
import { HAND_OVER, SLACK, WAIT_LIST_RETENTION } from "../../waiters/queues-lua.ts";
import {
  LIVE_RESERVATION,
  RESERVATION,
  RETRY_RECORD,
  RETRY_RESERVATION,
} from "../../waiters/reservations-lua.ts";
import {
  LIMIT_USE,
  LIVE_RETENTION,
  MANY,
  NAMED,
  NEAR,
  SEARCHED,
} from "../../waiters/wait-list-lua.ts";
import { queueIdIn } from "../../waiters/waiter.ts";
import type { SimulatedQueues } from "./simulated-queues.ts";
import { isLive, limitOf, runOf } from "./simulated-records.ts";
import type { SimulatedRedis } from "./simulated-redis.ts";

/** The names of one wait list. */
export interface WaitList {
  readonly names: Names;
  readonly key: string;
  /** The name of one of its slots. */
  readonly name: string;
  readonly slot: number;
  readonly waiters: string;
  readonly records: string;
  readonly reservation: string;
  readonly newest: string;
  /** How many waiters are named. */
  named?: number;
}

/** The reservation of a key. */
interface Reservation {
  readonly position: string;
  readonly token: number;
  /** Whether it is kept for a job that will run again. */
  readonly forRetry: boolean;
}

/** The twin of `waiters/wait-list-lua.ts`: each method mirrors the Lua function of its name. */
export class SimulatedWaitLists {
  readonly #redis: SimulatedRedis;
  readonly #queues: SimulatedQueues;

  constructor(redis: SimulatedRedis, queues: SimulatedQueues) {
    this.#redis = redis;
    this.#queues = queues;
  }

  reservationOf(reservation: string): Reservation | undefined {
    const stored = this.#redis.get(reservation) ?? "";
    const [, token, kept, position] = /^(\d+)(k?):([^]+)$/.exec(stored) ?? [];
    if (position === undefined) return undefined;
    return { position, token: Number(token), forRetry: kept === "k" };
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
    const { names, key, name, waiters, records } = list;
    const isAtFront = this.#redis.zscore(waiters, position) === priority - FRONT_OFFSET;
    this.#redis.zadd(waiters, position, isAtFront ? priority - FRONT_OFFSET : priority);
    this.#redis.hset(records, position, record);
    this.#queues.noteServed(names, position);
    const limit = limitOf(record);
    const limits = names.limits(key);
    if (limit > 1 || this.#redis.exists(limits)) noteLimit(this.#redis, limits, limit);
    for (let slot = 0; slot < limit; slot++) {
      const each = limit > 1 ? slotName(key, slot) : name;
      const left = limit > 1 ? this.restOf(names, each) : rest;
      this.#queues.setDue(names, each, position, record, left < 0 ? RESERVATION : left + SLACK);
    }
    this.#redis.pexpire(waiters, WAIT_LIST_RETENTION);
    this.#redis.pexpire(records, WAIT_LIST_RETENTION);
    const reserved = this.reservationOf(list.reservation);
    if (reserved?.forRetry) this.#queues.setDue(names, name, reserved.position, "", RESERVATION);
  }

  restOf(names: Names, name: string): number {
    const rest = this.#redis.pttl(names.lock(name));
    if (rest !== -2) return rest;
    return Math.min(RESERVATION, Math.max(0, this.#redis.pttl(names.reservation(name))));
  }

  usedLimits({ names, key }: WaitList): { used: ReadonlySet<number>; largest: number } {
    const known = this.#redis.zrange(names.limits(key));
    const since = this.#redis.now() - LIMIT_USE;
    const used = known.flatMap(([limit, at]) => (at > since ? Number(limit) : []));
    return { used: new Set(used), largest: Math.max(1, ...used) };
  }

  allowedOf(list: WaitList, record: string): number {
    const limit = limitOf(record);
    if ((limit === 1 && list.slot === 0) || !record.startsWith("p")) return limit;
    const { used, largest } = this.usedLimits(list);
    // @protection a limit that is out of use binds no waiter
    return used.has(limit) ? limit : Math.max(limit, largest);
  }

  hasReservation({ names, key, slot }: WaitList, position: string, limit: number): boolean {
    for (let other = 0; other < limit; other++) {
      const reserved = this.reservationOf(names.reservation(slotName(key, other)));
      // @protection a waiter has a reservation of one slot only
      if (other !== slot && reserved?.position === position) return true;
    }
    return false;
  }

  /** The waiters that have a reservation of another slot. */
  othersOf(list: WaitList, limit: number): ReservedSlot[] {
    const { names, key, slot, waiters } = list;
    const others: ReservedSlot[] = [];
    for (let other = 0; other < limit; other++) {
      const position = this.reservationOf(names.reservation(slotName(key, other)))?.position;
      const priority = position === undefined ? undefined : this.#redis.zscore(waiters, position);
      if (other === slot || position === undefined || priority === undefined) continue;
      others.push({ slot: other, position, priority });
    }
    return others;
  }

  dropReservations(
    { names, key, slot }: WaitList,
    position: string,
    limit: number,
    token: number,
  ): void {
    for (let other = 0; other < limit; other++) {
      const list = waitListOf(names, slotName(key, other));
      if (other === slot || this.reservationOf(list.reservation)?.position !== position) continue;
      this.#redis.del(list.reservation);
      this.serve(list, token, "", "", new Set());
    }
  }

  aheadOf({ waiters }: WaitList, position: string, rank: number): number {
    const seen = Math.min(rank, SEARCHED);
    const before = this.#redis.zrange(waiters, rank - seen, seen);
    const ahead = before.filter(([other]) => queueIdIn(other) === queueIdIn(position)).length;
    // @protection a job counts the waiters of its own queue alone
    return rank > NEAR && ahead >= MANY ? rank : ahead;
  }

  /** The Lua begins behind the skipped waiters that it has noted, and finds the same. */
  firstOf(list: WaitList, skipped: ReadonlySet<string>, skipsPaused: boolean): StoredWaiter[] {
    const first: StoredWaiter[] = [];
    const { named = NAMED } = list;
    const now = this.#redis.now();
    for (const [index, [position, priority]] of this.#redis.zrange(list.waiters).entries()) {
      if (first.length === named || (first.length > 0 && index === 2 * named)) break;
      const queueId = queueIdIn(position);
      const record = this.#redis.hget(list.records, position);
      const isSkipped =
        skipped.has(queueId) ||
        (skipsPaused && this.#queues.pauseOf(list.names, queueId).ends > now);
      if (isSkipped && !isLive(record)) continue;
      const isGone = record === undefined || !this.isAlive(list, record);
      // @protection a waiter stays in the wait list until it has the key
      if (isGone) this.leave(list, position);
      if (isGone) continue;
      const limit = this.allowedOf(list, record);
      if (limit <= list.slot || this.hasReservation(list, position, limit)) continue;
      first.push({ position, record, priority });
    }
    return first;
  }

  reserve({ reservation }: WaitList, token: number, position: string, ms: number): void {
    this.#redis.set(reservation, `${token}:${position}`, ms);
  }

  keepForRetry(list: WaitList, token: number, position: string): ReservationReply {
    this.#redis.set(list.reservation, `${token}k:${position}`, RETRY_RESERVATION);
    const waiting = this.#redis.zcard(list.waiters);
    if (waiting > 0) this.#queues.setDue(list.names, list.name, position, "", RESERVATION);
    const reserved = { position, token, record: RETRY_RECORD, expiresIn: RETRY_RESERVATION };
    return { status: "reserved", ...reserved, waiting };
  }

  reservedReply(list: WaitList, { forRetry, ...reserved }: Reservation): ReservationReply {
    const known = this.#redis.hget(list.records, reserved.position);
    const record = known ?? (forRetry ? RETRY_RECORD : "");
    const expiresIn = this.#redis.pttl(list.reservation);
    return {
      status: "reserved",
      ...reserved,
      record,
      expiresIn,
      waiting: this.#redis.zcard(list.waiters),
    };
  }

  wake({ names, name }: WaitList, token: number, position: string, record: string): void {
    const message = JSON.stringify([name, String(token), position, record]);
    const received = this.#redis.publish(names.wake(record.split("@")[1] ?? ""), message);
    // @protection another process of the queue wakes the jobs of one that is gone
    const isMissed = received === 0 && !isLive(record);
    const other = isMissed ? this.#queues.processOf(names, queueIdIn(position)) : undefined;
    if (other !== undefined) this.#redis.publish(names.wake(other), message);
    this.#queues.setDue(names, name, position, record, HAND_OVER);
  }

  serve(
    list: WaitList,
    token: number,
    process: string,
    queueId: string,
    skipped: ReadonlySet<string>,
  ): ReservationReply | undefined {
    const { names, name, waiters } = list;
    if (!this.#redis.exists(waiters)) return undefined;
    for (const skippedId of skipped) this.#queues.skipQueue(names, skippedId);
    let first = this.firstOf(list, skipped, true);
    if (first.length === 0) first = this.firstOf(list, skipped, false);
    const [head] = first;
    if (head === undefined) return { status: "free", waiting: this.#redis.zcard(waiters) };
    const { position, record } = head;
    this.reserve(list, token, position, isLive(record) ? LIVE_RESERVATION : RESERVATION);
    const missed = record.startsWith("p") && this.#noteReserved(list, position, record);
    const isOwn = record.split("@")[1] === process;
    if (!isOwn && (isLive(record) || queueId === "" || queueIdIn(position) !== queueId)) {
      this.wake(list, token, position, record);
    }
    const isSet = new Set<string>();
    for (const waiter of first) {
      const id = queueIdIn(waiter.position);
      if (!isSet.has(id)) {
        this.#queues.setDue(names, name, waiter.position, waiter.record, HAND_OVER);
      }
      isSet.add(id);
    }
    const others = this.othersOf(list, this.allowedOf(list, record));
    return { status: "next", waiting: this.#redis.zcard(waiters), waiters: first, others, missed };
  }

  #noteReserved({ records, slot }: WaitList, position: string, record: string): boolean {
    const now = this.#redis.now();
    const [, at, last] = /^(\d+) ([^]*)$/.exec(this.#redis.hget(records, `>${slot}`) ?? "") ?? [];
    const identity = `${record} ${position}`;
    this.#redis.hset(records, `>${slot}`, `${now.toFixed(0)} ${identity}`);
    return last === identity && now - Number(at) >= RESERVATION;
  }
}

/** {@link WaitList} */
export function waitListOf(names: Names, name: string): WaitList {
  return {
    names,
    key: keyOfSlot(name),
    name,
    slot: numberOfSlot(name),
    waiters: names.waiters(name),
    records: names.waiter(name),
    reservation: names.reservation(name),
    newest: names.newest(name),
  };
}

/** Notes that a key is used with a limit, as `noteLimit` of `lock/lock-lua.ts` does. */
export function noteLimit(redis: SimulatedRedis, limits: string, limit: number): void {
  redis.zadd(limits, String(limit), redis.now());
  redis.pexpire(limits, RETENTION);
}
