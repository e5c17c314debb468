import type { Requester } from "../../lock/lock-identity.ts";
import type { ReadReply } from "../../lock/read-operation.ts";
import type { Names } from "../../lock/stored-lock.ts";
import type { Releaser, ReservationReply } from "../../lock/wait-list-hooks.ts";
import { SLACK } from "../../waiters/queues-lua.ts";
import { RESERVATION } from "../../waiters/reservations-lua.ts";
import { compareWaiters } from "../../waiters/waiter.ts";
import { heldField, type SimulatedNewest } from "./simulated-newest.ts";
import type { SimulatedQueues } from "./simulated-queues.ts";
import type { SimulatedRedis } from "./simulated-redis.ts";
import { slotName } from "../../lock/slots.ts";
import { limitOf, runOf, withLimit } from "./simulated-records.ts";
import { type SimulatedWaitLists, type WaitList, waitListOf } from "./simulated-wait-lists.ts";

/** The twin of `waiters/hooks-lua.ts`: each method mirrors the Lua function of its name. */
export class SimulatedHooks {
  readonly #redis: SimulatedRedis;
  readonly #queues: SimulatedQueues;
  readonly #lists: SimulatedWaitLists;
  readonly #newest: SimulatedNewest;

  constructor(
    redis: SimulatedRedis,
    queues: SimulatedQueues,
    lists: SimulatedWaitLists,
    newest: SimulatedNewest,
  ) {
    this.#redis = redis;
    this.#queues = queues;
    this.#lists = lists;
    this.#newest = newest;
  }

  firstBefore(
    list: WaitList,
    position: string,
    { priority, others }: NonNullable<Requester["behind"]>,
  ): string | undefined {
    const holders = this.#newest.lastHolders(list);
    const [head = [position, priority]] = this.#redis.zrange(list.waiters, 0, 1);
    let first = { position: head[0], priority: head[1] };
    for (const other of others) {
      if (!other.keys.includes(list.key) || holders.includes(other.position)) continue;
      if (compareWaiters(other, first) < 0) first = other;
    }
    if (first.position === position) return undefined;
    return compareWaiters(first, { position, priority }) < 0 ? first.position : undefined;
  }

  comesBefore(
    names: Names,
    key: string,
    requester: Requester | undefined,
    several: boolean,
    { position, forRetry }: { position: string; forRetry: boolean },
  ): boolean {
    if (requester === undefined || !several || forRetry) return false;
    const waiters = names.waiters(key);
    const other = this.#redis.zscore(waiters, position);
    const own = this.#redis.zscore(waiters, requester.position) ?? requester.joins?.priority;
    // @protection a job with several keys does not stop at a reservation for a later one
    if (other === undefined || own === undefined) return false;
    const one = { priority: own, position: requester.position };
    return compareWaiters(one, { priority: other, position }) < 0;
  }

  reservedFor(
    names: Names,
    key: string,
    requester: Requester | undefined,
    several: boolean,
  ): { position: string; token: number; rest: number } | undefined {
    const list = waitListOf(names, key);
    const reserved = this.#lists.reservationOf(list.reservation);
    if (reserved !== undefined) {
      // @protection a reserved key is kept for its waiter
      if (reserved.position === requester?.position) return undefined;
      if (!this.comesBefore(names, key, requester, several, reserved)) {
        return { ...reserved, rest: this.#redis.pttl(list.reservation) };
      }
    }
    const first = requester?.behind && this.firstBefore(list, requester.position, requester.behind);
    return first === undefined ? undefined : { position: first, token: 0, rest: RESERVATION };
  }

  freeSlots(
    names: Names,
    key: string,
    limit: number,
    requester: Requester | undefined,
    several = false,
  ): number[] {
    const free: number[] = [];
    for (let slot = 0; slot < limit; slot++) {
      const name = slotName(key, slot);
      if (this.#redis.exists(names.lock(name))) continue;
      const reserved = this.#lists.reservationOf(names.reservation(name));
      if (requester !== undefined && reserved?.position === requester.position) return [slot];
      if (reserved === undefined || this.comesBefore(names, key, requester, several, reserved)) {
        free.push(slot);
      }
    }
    return free;
  }

  replacedBy(names: Names, key: string, { position, replaceable }: Requester): string | undefined {
    const latest = replaceable ? this.#newest.latestOf(waitListOf(names, key)) : "";
    return latest > position ? latest : undefined;
  }

  onConflict(
    names: Names,
    key: string,
    { position, replaceable, joins, behind }: Requester,
    token: number | undefined,
    rest: number,
    isNew: boolean,
    limit: number,
    own: number,
  ): { ahead: number; waiting: number; later?: string } {
    const list = waitListOf(names, key);
    const found = replaceable ? this.#newest.laterHolder(list, token, position) : undefined;
    const later = found === undefined ? {} : { later: found };
    if (isNew && joins !== undefined && found === undefined) {
      const { priority, replaces } = joins;
      const record = withLimit(joins.record, limit);
      const known = this.#redis.hget(list.records, position) ?? "";
      if (known !== `p${record.slice(1)}` && runOf(known) <= runOf(record)) {
        this.#lists.join(list, position, priority, record, rest);
        if (replaces) this.#newest.replaceUpTo(list, position);
        const largest = known === "" ? 0 : this.#lists.usedLimits(list).largest;
        if (largest > limit) this.#lists.dropReservations(list, position, largest, own);
      }
    }
    if (isNew && behind !== undefined) {
      const holders = this.#newest.lastHolders(list);
      for (const other of behind.others) {
        const isKnown = this.#redis.hget(list.records, other.position) !== undefined;
        if (!other.keys.includes(list.key)) continue;
        if (isKnown || holders.includes(other.position)) continue;
        this.#lists.join(list, other.position, other.priority, behind.record, rest);
      }
    }
    const waiting = this.#redis.zcard(list.waiters);
    const rank = this.#redis.zrank(list.waiters, position);
    if (rank === undefined) return { ahead: waiting, waiting: -1, ...later };
    return { ahead: this.#lists.aheadOf(list, position, rank), waiting: waiting - 1, ...later };
  }

  onGrant(
    names: Names,
    key: string,
    { position, run, replaceable, behind }: Requester,
    token: number,
    limit: number,
  ): void {
    const list = waitListOf(names, key);
    if (replaceable && this.#redis.hget(list.records, "^") === position) {
      this.#redis.hdel(list.records, "^");
    }
    if (replaceable || behind !== undefined) {
      this.#newest.noteNewest(list, heldField(list), `${token}:${position}`);
    }
    const hasWaiters = this.#redis.exists(list.records);
    if (hasWaiters) this.#queues.noteServed(names, position);
    this.#lists.leaveRun(list, position, run);
    if (!hasWaiters || limit === 1) return;
    this.#lists.dropReservations(list, position, limit, token);
    this.#serveAdded(list, limit, token);
  }

  #serveAdded(list: WaitList, limit: number, token: number): void {
    const { names, key } = list;
    const [first] = this.#redis.zrange(list.waiters, 0, 1);
    const record = first && this.#redis.hget(list.records, first[0]);
    if (record === undefined || limitOf(record) >= limit) return;
    const [slot] = this.freeSlots(names, key, limit, undefined);
    if (slot === undefined) return;
    const added = waitListOf(names, slotName(key, slot));
    if (this.#lists.allowedOf(added, record) <= slot) return;
    this.#lists.serve(added, token, "", "", new Set());
  }

  onHold(names: Names, key: string, ms: number): void {
    const [first] = this.#redis.zrange(names.waiters(key), 0, 1);
    if (first !== undefined) this.#queues.setDue(names, key, first[0], "", ms + SLACK);
  }

  onExtend(names: Names, key: string, token: number, position: string): void {
    this.#lists.keepForRetry(waitListOf(names, key), token, position);
  }

  /** @param rest the ms for which the key stays taken; absent for a free key. */
  onRelease(
    names: Names,
    key: string,
    token: number,
    isHeld: boolean,
    { requester, done, skipped, keepsRetry = false }: Releaser,
    rest: number | undefined,
    { isLast, isNew }: { readonly isLast: boolean; readonly isNew: boolean },
  ): ReservationReply | undefined {
    const { position, run, process, queueId } = requester;
    const list = waitListOf(names, key);
    const isStrict = requester.behind !== undefined;
    if (isStrict && !isHeld) this.#newest.forgetGrant(list, token, position);
    if (isHeld) {
      if (position !== "") this.#lists.leaveRun(list, position, run);
      if (done !== "") this.#newest.noteDone(list, done);
      if (isStrict) this.#newest.noteReleased(list, token, position);
      const reserved = this.#lists.reservationOf(list.reservation);
      const isNewest = isLast || (isNew && (reserved?.token ?? 0) <= token);
      // @protection a failed job keeps its key
      if (keepsRetry && isNewest && rest === undefined) {
        return this.#lists.keepForRetry(list, token, position);
      }
      if (rest === undefined) {
        const isLate = !isLast && this.#redis.exists(list.waiters) && reserved !== undefined;
        // @protection a release that is late, or executed twice, leaves the reservation for a failed job
        if (isLate && (reserved.token > token || (reserved.forRetry && reserved.token === token))) {
          return this.#lists.reservedReply(list, reserved);
        }
        const ids = this.#queues.skippedOf(names, skipped);
        return this.#lists.serve(list, token, process, queueId, ids);
      }
    }
    const waiting = this.#redis.zcard(list.waiters);
    if (rest !== undefined) return { status: "held", expiresIn: rest, waiting };
    return waiting > 0 ? { status: "free", waiting } : undefined;
  }

  waitersOf(
    names: Names,
    key: string,
    from: number,
    count: number,
  ): Pick<ReadReply, "waiting" | "first" | "reservation"> {
    const waiters = names.waiters(key);
    const first = this.#redis.zrange(waiters, from, count);
    const name = names.reservation(key);
    const reserved = this.#lists.reservationOf(name);
    return {
      reservation: reserved && {
        position: reserved.position,
        forRetry: reserved.forRetry,
        expiresIn: this.#redis.pttl(name),
      },
      waiting: this.#redis.zcard(waiters),
      first: first.map(([position, priority]) => ({ position, priority })),
    };
  }
}
