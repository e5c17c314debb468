import { RETRY_RECORD } from "./reservations-lua.ts";
import { MOST_NAMED, NAMED } from "./wait-list-lua.ts";
import type { Operation } from "../redis/operation.ts";
import type { Names } from "../lock/stored-lock.ts";
import {
  formatSkipped,
  parseReservation,
  type ReservationReply,
  type SkippedQueue,
  type StoredWaiter,
} from "../lock/wait-list-hooks.ts";

/** What is asked of the wait list of one key. */
export interface Serving {
  readonly names: Names;
  /** The name of the slot that may be free. */
  readonly key: string;
  /** Orders reservations: a larger token replaces a smaller one. */
  readonly token: number;
  readonly process: string;
  /** The position for which the key is reserved, in any case; empty for the first of the wait list. */
  readonly position: string;
  /** The record of `position`: not every master has it. */
  readonly record: string;
  /** Whether `position` is woken by a message. */
  readonly wakes: boolean;
  /** Milliseconds for which the key is reserved for `position`. */
  readonly life: number;
  /** True when live waiters of this process are in the wait list. */
  readonly live: boolean;
  /**
   * Waiters that are gone, by their record; a run in its place stands for every record up to that run. A waiter that is in no
   * wait list can still have the reservation.
   */
  readonly gone: readonly Pick<StoredWaiter, "position" | "record">[];
  /** The queues whose waiters are skipped. */
  readonly skipped: readonly SkippedQueue[];
}

/** Removes waiters that are gone; then, if the key is free and not reserved, reserves it. */
export const serveOperation: Operation<Serving, ReservationReply> = {
  name: "serve",
  lua: `
  local key, token, prefix, process, position, live = keys[1], argv[1], argv[2], argv[3], argv[4], argv[6] == '1'
  local list = waitListOf(prefix, key)
  local reserved, since, forRetry = reservationOf(list.reservation)
  local first = 10 + 2 * tonumber(argv[8])
  for i = 10, first - 1, 2 do
    local known = redis.call('HGET', list.records, argv[i])
    local run = tonumber(argv[i + 1])
    if not known or known == argv[i + 1] or (run and runOf(known) <= run) then
      leave(list, argv[i])
      if known then dropReservations(list, argv[i], allowedOf(list, known), token) end
      -- What is known of an earlier run does not end what is kept for the next one.
      if reserved == argv[i] and (not forRetry or run or argv[i + 1] == '${RETRY_RECORD}') then
        redis.call('DEL', list.reservation)
        reserved, forRetry = nil, false
      end
    end
  end
  -- Where all that were named are gone, twice as many are named each time.
  list.named = math.min(math.max(${NAMED}, 2 * tonumber(argv[8])), ${MOST_NAMED})
  local skipped = skippedOf(prefix, argv, first)
  if live and redis.call('EXISTS', list.waiters) == 1 then noteAlive(list, process) end
  local rest = redis.call('PTTL', prefix .. key)
  if rest ~= -2 then return { 'HELD', rest, redis.call('ZCARD', list.waiters) } end
  -- It may have another slot by now, and nothing would end the reservation of this one.
  if (list.slot > 0 or limitOf(argv[9]) > 1) and not redis.call('HGET', list.records, position) then position = '' end
  if position ~= '' and not forRetry and (not reserved or tonumber(since) <= tonumber(token)) then
    reserve(list, token, position, argv[5])
    if argv[7] == '1' then wake(list, token, position, argv[9]) end
    reserved, since = position, token
  elseif reserved and not forRetry and skipped[queueIdOf(reserved)] and tonumber(since) <= tonumber(token)
    and not isLive(redis.call('HGET', list.records, reserved)) then
    redis.call('DEL', list.reservation)
    reserved = nil
  end
  if not reserved then return serve(list, token, process, '', skipped) or { 'FREE', 0 } end
  return reservedReply(list, reserved, since, forRetry)`,
  keys: ({ key }) => [key],
  argv: ({ names, token, process, position, record, wakes, life, live, gone, skipped }) => [
    token,
    names.prefix,
    process,
    position,
    life,
    live ? 1 : 0,
    wakes ? 1 : 0,
    gone.length,
    record,
    ...gone.flatMap(({ position, record }) => [position, record]),
    ...skipped.map(formatSkipped),
  ],
  parse: parseReservation,
};
