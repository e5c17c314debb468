import { type Operation, pairsOf } from "../redis/operation.ts";
import type { Names } from "../lock/stored-lock.ts";
import { parseWaiters, type StoredWaiter } from "../lock/wait-list-hooks.ts";

/** Most keys of a queue whose wait lists are repaired. */
const MOST_KEYS = 10_000;

/** How many jobs wait for each key, as far as a master knows. */
export type ListSizes = ReadonlyMap<string, number>;

/** Names the keys that jobs of a queue wait for, with the sizes of their wait lists. Changes nothing. */
export const sizesOperation: Operation<{ names: Names; queueId: string }, ListSizes> = {
  name: "sizes",
  lua: `
  local prefix, queueId, found = argv[1], argv[2], { 'OK' }
  for _, name in ipairs(redis.call('ZRANGE', prefix .. '@due:' .. queueId, 0, ${MOST_KEYS - 1})) do
    local list = waitListOf(prefix, name)
    found[#found + 1] = list.key
    found[#found + 1] = redis.call('ZCARD', list.waiters)
  end
  return found`,
  keys: () => [],
  argv: ({ names, queueId }) => [names.prefix, queueId],
  parse: ([, ...found]) =>
    new Map(pairsOf(found).map(([key, waiting]) => [String(key), Number(waiting)])),
};

/** Which part of a wait list is read. */
export interface Page {
  readonly names: Names;
  readonly key: string;
  readonly from: number;
  readonly count: number;
}

/** Reads a part of a wait list with the records of the waiters, in order. Changes nothing. */
export const pageOperation: Operation<Page, readonly StoredWaiter[]> = {
  name: "page",
  lua: `
  local list, waiters = waitListOf(argv[1], argv[2]), {}
  local found = redis.call('ZRANGE', list.waiters, argv[3], argv[4], 'WITHSCORES')
  for i = 1, #found, 2 do
    waiters[#waiters + 1] = { found[i], redis.call('HGET', list.records, found[i]) or '', found[i + 1] }
  end
  return { 'OK', waiters }`,
  keys: () => [],
  argv: ({ names, key, from, count }) => [names.prefix, key, from, from + count - 1],
  parse: ([, waiters]) => parseWaiters(waiters),
};
