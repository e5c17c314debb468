import type { Operation } from "../redis/operation.ts";
import type { Names } from "../lock/stored-lock.ts";

/** Which page of the keys of a queue is searched for a waiter. */
export interface Finding {
  readonly names: Names;
  readonly position: string;
  /** How many keys are left out at the front. */
  readonly from: number;
}

/** A key in whose wait list the waiter is, as one master knows it. */
export interface FoundKey {
  readonly key: string;
  /** How many waiters are before it. */
  readonly ahead: number;
  /** How many wait for the key, this one included. */
  readonly waiting: number;
  /** Whether the key is free, and reserved for this waiter. */
  readonly reserved: boolean;
}

/** What a master has found on one page. */
export interface FindReply {
  /** False when there may be further keys. */
  readonly isLast: boolean;
  readonly keys: readonly FoundKey[];
}

/** How many keys are searched in one step: well below a millisecond of a master's time. */
export const FIND_STEP = 500;

/**
 * Finds the keys that a parked job waits for, and changes nothing. A waiter does not store its keys; but each master keeps the
 * keys that jobs of a queue wait for, so that they can be checked when they are due.
 */
export const findOperation: Operation<Finding, FindReply> = {
  name: "find",
  lua: `
  local prefix, position, from, found = argv[1], argv[2], tonumber(argv[3]), {}
  local page = redis.call('ZRANGE', prefix .. '@due:' .. queueIdOf(position), from, from + ${FIND_STEP - 1})
  for _, key in ipairs(page) do
    local list = waitListOf(prefix, key)
    local rank = redis.call('ZRANK', list.waiters, position)
    if rank then
      local isReserved = reservationOf(list.reservation) == position
      found[#found + 1] = { key, rank, redis.call('ZCARD', list.waiters), isReserved and 1 or 0 }
    end
  end
  return { 'OK', #page < ${FIND_STEP} and 1 or 0, found }`,
  keys: () => [],
  argv: ({ names, position, from }) => [names.prefix, position, from],
  parse: ([, isLast, found]) => ({
    isLast: Number(isLast) === 1,
    keys: (Array.isArray(found) ? (found as unknown[]) : []).map((entry) => {
      const [key, ahead, waiting, reserved] = Array.isArray(entry) ? (entry as unknown[]) : [];
      return {
        key: String(key),
        ahead: Number(ahead),
        waiting: Number(waiting),
        reserved: Number(reserved) === 1,
      };
    }),
  }),
};
