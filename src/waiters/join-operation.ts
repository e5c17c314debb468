import { listOf, type Operation, pairsOf } from "../redis/operation.ts";
import type { Names } from "../lock/stored-lock.ts";
import { type KeyHolder, storedIn } from "../lock/acquire-operation.ts";
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
  /** How many holders each key may have. */
  readonly limits: readonly number[];
  readonly newcomers: readonly Newcomer[];
  /** The process that asks. */
  readonly process: string;
  /** True when the waiters are live in this process, and gone when the process is. */
  readonly live: boolean;
}

/** What a master answers about one key. */
export interface JoinReply {
  /** The slots that nothing will serve, unless a client asks for the key. A release serves a held one. */
  readonly free: readonly number[];
  /** The free slots that are reserved: the end of the reservation serves the wait list. */
  readonly reserved: readonly { readonly slot: number; readonly position: string }[];
  /** Waiters that a later newcomer replaces. */
  readonly replaced: readonly StoredWaiter[];
  /** The first slot that is held or reserved; absent for a free key, a foreign value, and live newcomers. */
  readonly holder?: Omit<KeyHolder, "ahead">;
  /** {@link KeyHolder.ahead} of each newcomer; empty for live ones. */
  readonly ahead: readonly number[];
}

/** Joins the wait lists of all keys; a waiter that is there already keeps its position. */
export const joinOperation: Operation<Joining, readonly JoinReply[]> = {
  name: "join",
  lua: `
  local process, live, prefix, limits, replies = argv[1], argv[2] == '1', argv[3], cjson.decode(argv[4]), {}
  for i, key in ipairs(keys) do
    local list, limit, free, reserved, holder = waitListOf(prefix, key), limits[i], {}, {}, {}
    for slot = 0, limit - 1 do
      local name = slotName(key, slot)
      if redis.call('EXISTS', prefix .. name) == 0 then
        local position, since = reservationOf(prefix .. '@reserved:' .. name)
        if position then
          reserved[#reserved + 1] = slot
          reserved[#reserved + 1] = position
          if not holder[1] then holder = { slot, position, redis.call('PTTL', prefix .. '@reserved:' .. name), since } end
        else
          free[#free + 1] = slot
        end
      elseif not holder[1] then
        local value = redis.pcall('GET', prefix .. name)
        if type(value) == 'string' then holder = { slot, string.sub(value, 1, 512), redis.call('PTTL', prefix .. name), '' } end
      end
    end
    local rest, replacing, replaced = restOf(prefix, key), '', {}
    for j = 5, #argv, 4 do
      local position, priority, record = argv[j], argv[j + 1], withLimit(argv[j + 2], limit)
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
    local waiting, ahead = redis.call('ZCARD', list.waiters), {}
    for j = 5, live and 0 or #argv, 4 do
      local rank = redis.call('ZRANK', list.waiters, argv[j])
      ahead[#ahead + 1] = rank and aheadOf(list, argv[j], rank) or waiting
    end
    replies[i] = { free, reserved, replaced, live and {} or holder, waiting - 1, ahead }
  end
  return { 'OK', replies }`,
  keys: ({ keys }) => keys,
  argv: ({ names, limits, newcomers, process, live }) => [
    process,
    live ? 1 : 0,
    names.prefix,
    JSON.stringify(limits),
    ...newcomers.flatMap(({ position, priority, record, replaces }) => [
      position,
      priority,
      record,
      replaces ? 1 : 0,
    ]),
  ],
  parse([, replies], { keys }) {
    return listOf(replies).map((entry, index) => {
      const [free, reserved, replaced, holder, waiting, ahead] = listOf(entry);
      return {
        free: listOf(free).map(Number),
        reserved: pairsOf(reserved).map(([slot, position]) => ({
          slot: Number(slot),
          position: String(position),
        })),
        replaced: parseWaiters(replaced),
        ...parseHolder(holder, keys[index] ?? "", Number(waiting)),
        ahead: listOf(ahead).map(Number),
      };
    });
  },
};

function parseHolder(raw: unknown, key: string, waiting: number): Pick<JoinReply, "holder"> {
  const parts = listOf(raw).map(String);
  if (parts.length === 0) return {};
  const [slot, value = "", expiresIn, since = ""] = parts;
  const what = {
    key,
    slot: Number(slot),
    free: [],
    expiresIn: Number(expiresIn),
    confirmed: false,
  };
  return { holder: { ...what, waiting, ...storedIn(value, since) } };
}
