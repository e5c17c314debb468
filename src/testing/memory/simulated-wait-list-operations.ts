import { storedIn } from "../../lock/acquire-operation.ts";
import type { ReservationReply, StoredWaiter } from "../../lock/wait-list-hooks.ts";
import { type DueQuestion, type DueReply, MOST_DUE } from "../../waiters/due-operation.ts";
import { type JoinReply, type Joining, MOST_REPLACED } from "../../waiters/join-operation.ts";
import type { Moving } from "../../waiters/move-operation.ts";
import { SLACK } from "../../waiters/queues-lua.ts";
import type { ListSizes, Page } from "../../waiters/repair-operations.ts";
import { queueIdIn } from "../../waiters/waiter.ts";
import type { Serving } from "../../waiters/serve-operation.ts";
import { MOST_NAMED, NAMED } from "../../waiters/wait-list-lua.ts";
import { RESERVATION, RETRY_RECORD } from "../../waiters/reservations-lua.ts";
import type { Names } from "../../lock/stored-lock.ts";
import { type SimulatedGuard, unarmed } from "./simulated-guard.ts";
import type { SimulatedNewest } from "./simulated-newest.ts";
import type { SimulatedQueues } from "./simulated-queues.ts";
import type { SimulatedRedis } from "./simulated-redis.ts";
import { slotName } from "../../lock/slots.ts";
import { isLive, limitOf, runOf, withLimit } from "./simulated-records.ts";
import { type SimulatedWaitLists, type WaitList, waitListOf } from "./simulated-wait-lists.ts";

/** The twins of the operations on wait lists. */
export class SimulatedWaitListOperations {
  readonly #redis: SimulatedRedis;
  readonly #queues: SimulatedQueues;
  readonly #lists: SimulatedWaitLists;
  readonly #newest: SimulatedNewest;
  readonly #guard: SimulatedGuard;

  constructor(
    redis: SimulatedRedis,
    queues: SimulatedQueues,
    lists: SimulatedWaitLists,
    newest: SimulatedNewest,
    guard: SimulatedGuard,
  ) {
    this.#guard = guard;
    this.#redis = redis;
    this.#queues = queues;
    this.#lists = lists;
    this.#newest = newest;
  }

  join({ names, keys, limits, newcomers, process, live }: Joining): readonly JoinReply[] {
    return keys.map((key, index): JoinReply => {
      const list = waitListOf(names, key);
      const limit = limits[index] ?? 1;
      const free: number[] = [];
      const reserved: { slot: number; position: string }[] = [];
      const taken: { slot: number; value: string; expiresIn: number; since: string }[] = [];
      for (let slot = 0; slot < limit; slot++) {
        const name = slotName(key, slot);
        const value = this.#redis.get(names.lock(name));
        const reservation = this.#lists.reservationOf(names.reservation(name));
        if (value !== undefined) {
          const expiresIn = this.#redis.pttl(names.lock(name));
          taken.push({ slot, value: value.slice(0, 512), expiresIn, since: "" });
        } else if (reservation === undefined) {
          free.push(slot);
        } else {
          const { position, token } = reservation;
          reserved.push({ slot, position });
          const expiresIn = this.#redis.pttl(names.reservation(name));
          taken.push({ slot, value: position, expiresIn, since: String(token) });
        }
      }
      const rest = this.#lists.restOf(names, key);
      let replacing = "";
      const replaced: StoredWaiter[] = [];
      for (const { position, priority, replaces, ...newcomer } of newcomers) {
        const record = withLimit(newcomer.record, limit);
        const known = this.#redis.hget(list.records, position);
        if (known === undefined || runOf(known) <= runOf(record)) {
          this.#lists.join(list, position, priority, record, rest);
        }
        if (replaces && position > replacing) replacing = position;
      }
      if (live) this.#lists.noteAlive(list, process);
      if (replacing !== "") {
        this.#newest.replaceUpTo(list, replacing);
        for (const [other] of this.#redis.zrange(list.waiters, 0, MOST_REPLACED)) {
          const record = this.#redis.hget(list.records, other) ?? "";
          if (other < replacing && record[1] === "r") {
            replaced.push({ position: other, record, priority: 0 });
          }
        }
      }
      const waiting = this.#redis.zcard(list.waiters);
      const ahead = live ? [] : newcomers.map(({ position }) => this.#aheadOf(list, position));
      const holder = live
        ? []
        : taken.slice(0, 1).map((first): NonNullable<JoinReply["holder"]> => {
            const { slot, value, expiresIn, since } = first;
            const what = { key, slot, free: [], expiresIn, confirmed: false, waiting: waiting - 1 };
            return { ...what, ...storedIn(value, since) };
          });
      return { free, reserved, replaced, ...(holder[0] && { holder: holder[0] }), ahead };
    });
  }

  #aheadOf(list: WaitList, position: string): number {
    const rank = this.#redis.zrank(list.waiters, position);
    return rank === undefined
      ? this.#redis.zcard(list.waiters)
      : this.#lists.aheadOf(list, position, rank);
  }

  move({ names, keys, position, priority }: Moving): void {
    for (const key of keys) {
      const { waiters } = waitListOf(names, key);
      if (this.#redis.zscore(waiters, position) === undefined) continue;
      this.#redis.zadd(waiters, position, priority);
    }
  }

  serve({ names, key, token, process, position, wakes, ...serving }: Serving): ReservationReply {
    const list = waitListOf(names, key);
    let reserved = this.#lists.reservationOf(list.reservation);
    for (const { position, record } of serving.gone) {
      const known = this.#redis.hget(list.records, position);
      // @protection a waiter that is gone loses its reservation outside the wait list too
      const isListed = known !== undefined;
      const isUpTo = isListed && /^\d+$/.test(record) && runOf(known) <= Number(record);
      if (isListed && known !== record && !isUpTo) continue;
      this.#lists.leave(list, position);
      if (isListed)
        this.#lists.dropReservations(list, position, this.#lists.allowedOf(list, known), token);
      if (reserved?.position !== position) continue;
      if (reserved.forRetry && record !== RETRY_RECORD && !/^\d+$/.test(record)) continue;
      this.#redis.del(list.reservation);
      reserved = undefined;
    }
    list.named = Math.min(Math.max(NAMED, 2 * serving.gone.length), MOST_NAMED);
    const skipped = this.#queues.skippedOf(names, serving.skipped);
    if (serving.live && this.#redis.exists(list.waiters)) this.#lists.noteAlive(list, process);
    const rest = this.#redis.pttl(names.lock(key));
    const waiting = this.#redis.zcard(list.waiters);
    if (rest !== -2) return { status: "held", expiresIn: rest, waiting };
    const isFree = reserved === undefined || (!reserved.forRetry && reserved.token <= token);
    const isWaiting = this.#redis.hget(list.records, position) !== undefined;
    // @protection a slot is not reserved for a waiter that has left the wait list
    const canHave = isWaiting || (list.slot === 0 && limitOf(serving.record) === 1);
    if (position !== "" && isFree && canHave) {
      this.#lists.reserve(list, token, position, serving.life);
      if (wakes) this.#lists.wake(list, token, position, serving.record);
      reserved = { position, token, forRetry: false };
    } else if (
      reserved !== undefined &&
      !reserved.forRetry &&
      skipped.has(queueIdIn(reserved.position)) &&
      reserved.token <= token &&
      !isLive(this.#redis.hget(list.records, reserved.position))
    ) {
      this.#redis.del(list.reservation);
      reserved = undefined;
    }
    if (reserved === undefined) {
      return this.#lists.serve(list, token, process, "", skipped) ?? { status: "free", waiting: 0 };
    }
    return this.#lists.reservedReply(list, reserved);
  }

  due({ names, process, queues }: DueQuestion, server: string): DueReply {
    const now = this.#redis.now();
    const guard = this.#guard.guardOf(names.guard);
    const isArmed = unarmed(guard, server) === undefined;
    const quarantine = isArmed ? this.#guard.quarantineOf(guard) : 0;
    let areWaiting = false;
    let isFull = false;
    const keys = queues.flatMap(({ queueId, servedAgo }) => {
      const due = names.due(queueId);
      const servedAt = now - Math.ceil(servedAgo);
      const found: string[] = [];
      if (process !== "") this.#queues.noteQueue(names, `@${queueId}`, process);
      areWaiting ||= this.#redis.exists(due);
      let { ends, pause } = this.#queues.pauseOf(names, queueId);
      if (ends > 0 && ends - pause < servedAt) {
        this.#queues.noteQueue(names, queueId, `+${servedAt}`);
        ends = 0;
        for (const [key] of this.#redis.zrange(due)) this.#redis.zadd(due, key, 0);
      }
      const overdue = this.#redis.zrange(due).filter(([, at]) => at <= now);
      isFull ||= overdue.length >= MOST_DUE;
      for (const [key] of overdue.slice(0, MOST_DUE)) {
        const list = waitListOf(names, key);
        const rest = this.#redis.pttl(names.lock(key));
        if (!this.#redis.exists(list.waiters)) {
          this.#redis.zrem(due, key);
        } else if (rest === -2) {
          const reserved = this.#lists.reservationOf(list.reservation);
          const left = reserved === undefined ? 0 : this.#redis.pttl(list.reservation) + SLACK;
          if (reserved !== undefined && queueIdIn(reserved.position) !== queueId) {
            this.#redis.zadd(due, key, now + left);
          } else if (reserved === undefined && ends > now) {
            this.#redis.zadd(due, key, ends);
          } else {
            found.push(key);
            const again = reserved?.forRetry ? RESERVATION : Math.max(left, RESERVATION);
            this.#redis.zadd(due, key, now + again);
          }
        } else {
          this.#redis.zadd(due, key, now + (rest < 0 ? RESERVATION : rest + SLACK));
        }
      }
      return found;
    });
    return { areWaiting, isFull, keys, quarantine };
  }

  sizes({ names, queueId }: { names: Names; queueId: string }): ListSizes {
    const found = this.#redis.zrange(names.due(queueId)).map(([name]) => waitListOf(names, name));
    return new Map(found.map(({ key, waiters }) => [key, this.#redis.zcard(waiters)]));
  }

  page({ names, key, from, count }: Page): readonly StoredWaiter[] {
    const { waiters, records } = waitListOf(names, key);
    return this.#redis.zrange(waiters, from, count).map(([position, priority]) => ({
      position,
      record: this.#redis.hget(records, position) ?? "",
      priority,
    }));
  }
}
