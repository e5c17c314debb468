import type { Operation } from "../redis/operation.ts";
import { LEASE, MOST_REPLACED } from "./wait-list-script.ts";
import type { Names } from "./stored-lock.ts";

/** Somebody in a line, as a master names it. */
export interface StoredWaiter {
  readonly position: string;
  readonly record: string;
  readonly priority: number;
}

/** What a master says about the turn of one key. */
export type ReservationReply =
  /** Somebody holds the key, for so many milliseconds if nothing is extended; -1 when it has no end. */
  | { readonly status: "held"; readonly expiresIn: number; readonly waiting: number }
  /** The key is free, and kept for `position`; `record` is empty when it is not in this line. */
  | {
      readonly status: "turn";
      readonly position: string;
      readonly record: string;
      readonly token: number;
      readonly expiresIn: number;
      readonly waiting: number;
    }
  /** The key is free, and now kept for the first of these. */
  | { readonly status: "head"; readonly waiting: number; readonly waiters: readonly StoredWaiter[] }
  /** The key is free, and nobody is in line who could be called; `waiting` counts those who were passed over. */
  | { readonly status: "nobody"; readonly waiting: number };

/** Reads what the script's `serve` returns. */
export function parseReservation(raw: unknown): ReservationReply {
  const [status, first, second, third, fourth, fifth] = Array.isArray(raw)
    ? (raw as unknown[])
    : [];
  if (status === "NOBODY") return { status: "nobody", waiting: Number(first) };
  if (status === "HELD") {
    return { status: "held", expiresIn: Number(first), waiting: Number(second) };
  }
  if (status === "TURN") {
    return {
      status: "turn",
      position: String(first),
      record: String(fifth),
      token: Number(second),
      expiresIn: Number(third),
      waiting: Number(fourth),
    };
  }
  if (status === "HEAD") {
    return { status: "head", waiting: Number(first), waiters: parseWaiters(second) };
  }
  throw new Error(`an unknown status ${String(status)}`);
}

/** Reads a list of waiters. */
function parseWaiters(raw: unknown): StoredWaiter[] {
  return (Array.isArray(raw) ? (raw as unknown[]) : []).map((entry) => {
    const [position, record, priority] = Array.isArray(entry) ? (entry as unknown[]) : [];
    return { position: String(position), record: String(record), priority: Number(priority) };
  });
}

/** The names of a lock, of its turn and of its line. */
function lockAndWaitList(names: Names, key: string): string[] {
  return [names.lock(key), names.reservation(key), names.waiters(key), names.waiter(key)];
}

/** Somebody who joins lines. */
export interface Newcomer extends StoredWaiter {
  /** True for one that replaces earlier ones that may be replaced. */
  readonly replaces: boolean;
}

/** Who joins the lines of which keys. */
export interface Joining {
  readonly names: Names;
  readonly keys: readonly string[];
  readonly newcomers: readonly Newcomer[];
  /** The process that calls. */
  readonly process: string;
  /** True when one of them waits in this process, and is gone when the process is. */
  readonly live: boolean;
}

/** What a master says to those that join the line of a key. */
export interface JoinReply {
  /**
   * `held`: a release will serve the line. `reservation`: it is the turn of `position`, and its end will serve the line. `free`: nothing
   * will, unless somebody asks.
   */
  readonly status: "held" | "free" | "turn";
  /** Whose turn it is; else empty. */
  readonly position: string;
  /** Those in line that a later one of the newcomers replaces. */
  readonly replaced: readonly StoredWaiter[];
}

/** Joins the lines of all keys; one that is there already keeps its place. */
export const joinOperation: Operation<Joining, readonly JoinReply[]> = {
  name: "join",
  lua: `
  local process, lease, prefix, replies = argv[1], tonumber(argv[2]), argv[3], {}
  for i = 1, #keys / 4 do
    local lock, turn, line, details = keys[4 * i - 3], keys[4 * i - 2], keys[4 * i - 1], keys[4 * i]
    local status, rest, theirs = 'HELD', redis.call('PTTL', lock), nil
    if rest == -2 then
      theirs = turnOf(turn)
      status, rest = theirs and 'TURN' or 'FREE', theirs and redis.call('PTTL', turn) or 0
    end
    local key, replacing, replaced = string.sub(lock, #prefix + 1), '', {}
    for j = 4, #argv, 4 do
      -- One that is late does not undo what its own next run has said.
      local known = redis.call('HGET', details, argv[j])
      if not known or runOf(known) <= runOf(argv[j + 2]) then
        join(prefix, key, line, details, argv[j], argv[j + 1], argv[j + 2], rest)
      end
      if argv[j + 3] == '1' and argv[j] > replacing then replacing = argv[j] end
    end
    if lease > 0 then redis.call('HSET', details, '~' .. process, string.format('%.0f', clockOf() + lease)) end
    if replacing ~= '' then
      replaceUpTo(details, replacing)
      for _, other in ipairs(redis.call('ZRANGE', line, 0, ${MOST_REPLACED - 1})) do
        local known = redis.call('HGET', details, other) or ''
        if other < replacing and string.match(known, '^.r') then replaced[#replaced + 1] = { other, known, 0 } end
      end
    end
    replies[i] = { status, theirs or '', replaced }
  end
  return { 'OK', replies }`,
  keys: ({ names, keys }) => keys.flatMap((key) => lockAndWaitList(names, key)),
  argv: ({ names, newcomers, process, live }) => [
    process,
    live ? LEASE : 0,
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
        status: status === "HELD" ? "held" : status === "TURN" ? "turn" : "free",
        position: String(position),
        replaced: parseWaiters(replaced),
      };
    });
  },
};

/** A home that did not come when it was called. */
export interface SkippedQueue {
  readonly queueId: string;
  /** Milliseconds since then. */
  readonly age: number;
}

/** As the script reads it. */
export function formatSkipped({ queueId, age }: SkippedQueue): string {
  return `${Math.ceil(age)}:${queueId}`;
}

/** What is asked of the line of one key. */
export interface Serving {
  readonly names: Names;
  readonly key: string;
  /** Orders turns: a larger one replaces a smaller one. */
  readonly token: number;
  readonly process: string;
  /** Whom to give the turn, whoever is first; empty for the first in line. */
  readonly give: string;
  /** How `give` is noted in lines: not every master knows it. */
  readonly record: string;
  /** Whether `give` is to be called; else the key is only kept for it. */
  readonly calls: boolean;
  /** Milliseconds for which the turn is given. */
  readonly life: number;
  /** True when there are waiters of this process in the line. */
  readonly live: boolean;
  /** Those who are gone; an empty detail stands for any. One that is in no line can still have the turn. */
  readonly gone: readonly Pick<StoredWaiter, "position" | "record">[];
  /** The homes that do not answer their calls. */
  readonly skipped: readonly SkippedQueue[];
}

/** Takes those who are gone out of a line; then, if the key is free and kept for nobody, gives the turn. */
export const serveOperation: Operation<Serving, ReservationReply> = {
  name: "serve",
  lua: `
  local lock, turn, line, details = keys[1], keys[2], keys[3], keys[4]
  local token, prefix, process, give, life, lease = argv[1], argv[2], argv[3], argv[4], argv[5], tonumber(argv[6])
  local key, theirs, since = string.sub(lock, #prefix + 1), turnOf(turn)
  local first = 10 + 2 * tonumber(argv[8])
  for i = 10, first - 1, 2 do
    local known = redis.call('HGET', details, argv[i])
    if argv[i + 1] == '' or not known or known == argv[i + 1] then
      leave(line, details, argv[i])
      if theirs == argv[i] then
        redis.call('DEL', turn)
        theirs = nil
      end
    end
  end
  local skipped = skippedOf(prefix, argv, first)
  if lease > 0 and redis.call('EXISTS', line) == 1 then
    redis.call('HSET', details, '~' .. process, string.format('%.0f', clockOf() + lease))
  end
  local rest = redis.call('PTTL', lock)
  if rest ~= -2 then return { 'HELD', rest, redis.call('ZCARD', line) } end
  if give ~= '' and (not theirs or tonumber(since) <= tonumber(token)) then
    if argv[7] == '1' then call(prefix, key, turn, token, argv[9], give, life)
    else redis.call('SET', turn, token .. ':' .. give, 'PX', life) end
    theirs, since = give, token
  elseif theirs and skipped[homeOf(theirs)] and tonumber(since) <= tonumber(token)
    and not isLiving(redis.call('HGET', details, theirs)) then
    redis.call('DEL', turn)
    theirs = nil
  end
  if theirs then
    local detail = redis.call('HGET', details, theirs) or ''
    return { 'TURN', theirs, since, redis.call('PTTL', turn), redis.call('ZCARD', line), detail }
  end
  return serve(prefix, key, turn, line, details, token, process, '', skipped)`,
  keys: ({ names, key }) => lockAndWaitList(names, key),
  argv: ({ names, token, process, give, record, calls, life, live, gone, skipped }) => [
    token,
    names.prefix,
    process,
    give,
    life,
    live ? LEASE : 0,
    calls ? 1 : 0,
    gone.length,
    record,
    ...gone.flatMap(({ position, record }) => [position, record]),
    ...skipped.map(formatSkipped),
  ],
  parse: parseReservation,
};
