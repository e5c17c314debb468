import type { Operation } from "../redis/operation.ts";
import type { Names } from "../lock/stored-lock.ts";
import { parseWaiters, type StoredWaiter } from "../lock/wait-list-hooks.ts";

/** Most waiters of a key that learn in one call that a later one replaces them: as many as join in a moment. */
export const MOST_REPLACED = 500;

/** A waiter that joins wait lists. */
export interface Newcomer extends StoredWaiter {
  /** True for a waiter that replaces earlier ones that may be replaced. */
  readonly replaces: boolean;
}

/** Which waiters join the wait lists of which keys. */
export interface Joining {
  readonly names: Names;
  readonly keys: readonly string[];
  readonly newcomers: readonly Newcomer[];
  /** The process that asks. */
  readonly process: string;
  /** True when the waiters are live in this process, and gone when the process is. */
  readonly live: boolean;
}

/** What a master answers about one key. */
export interface JoinReply {
  /**
   * `held`: a release will serve the wait list. `reserved`: the end of a reservation will. `free`: nothing will, unless a client
   * asks for the key.
   */
  readonly status: "held" | "free" | "reserved";
  /** The position that has the reservation; else empty. */
  readonly position: string;
  /** Waiters that a later newcomer replaces. */
  readonly replaced: readonly StoredWaiter[];
}

/** Joins the wait lists of all keys; a waiter that is there already keeps its position. */
export const joinOperation: Operation<Joining, readonly JoinReply[]> = {
  name: "join",
  lua: `
  local process, live, prefix, replies = argv[1], argv[2] == '1', argv[3], {}
  for i, key in ipairs(keys) do
    local list, status, rest, reserved = waitListOf(prefix, key), 'HELD', redis.call('PTTL', prefix .. key), nil
    if rest == -2 then
      reserved = reservationOf(list.reservation)
      status, rest = reserved and 'RESERVED' or 'FREE', reserved and redis.call('PTTL', list.reservation) or 0
    end
    local replacing, replaced = '', {}
    for j = 4, #argv, 4 do
      local position, priority, record = argv[j], argv[j + 1], argv[j + 2]
      -- A late request does not undo what the next run of the job has done.
      local known = redis.call('HGET', list.records, position)
      if not known or runOf(known) <= runOf(record) then join(list, position, priority, record, rest) end
      if argv[j + 3] == '1' and position > replacing then replacing = position end
    end
    if live then noteAlive(list, process) end
    if replacing ~= '' then
      replaceUpTo(list, replacing)
      for _, other in ipairs(redis.call('ZRANGE', list.waiters, 0, ${MOST_REPLACED - 1})) do
        local record = redis.call('HGET', list.records, other) or ''
        if other < replacing and string.match(record, '^.r') then replaced[#replaced + 1] = { other, record, 0 } end
      end
    end
    replies[i] = { status, reserved or '', replaced }
  end
  return { 'OK', replies }`,
  keys: ({ keys }) => keys,
  argv: ({ names, newcomers, process, live }) => [
    process,
    live ? 1 : 0,
    names.prefix,
    ...newcomers.flatMap(({ position, priority, record, replaces }) => [
      position,
      priority,
      record,
      replaces ? 1 : 0,
    ]),
  ],
  parse([, replies]) {
    return (Array.isArray(replies) ? (replies as unknown[]) : []).map((entry) => {
      const [status, position, replaced] = Array.isArray(entry) ? (entry as unknown[]) : [];
      return {
        status: status === "HELD" ? "held" : status === "RESERVED" ? "reserved" : "free",
        position: String(position),
        replaced: parseWaiters(replaced),
      };
    });
  },
};
