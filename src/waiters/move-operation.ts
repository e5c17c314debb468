import type { Operation } from "../redis/operation.ts";
import type { Names } from "../lock/stored-lock.ts";

/** A new priority for a waiter. */
export interface Moving {
  readonly names: Names;
  readonly keys: readonly string[];
  readonly position: string;
  readonly priority: number;
}

/** How far before the others of its priority a waiter is that was moved to their front. */
export const FRONT_OFFSET = 0.5;

/** Gives a waiter another priority in those wait lists that it is in. */
export const moveOperation: Operation<Moving, void> = {
  name: "move",
  lua: `
  local prefix, position, priority = argv[1], argv[2], argv[3]
  for _, key in ipairs(keys) do
    local list = waitListOf(prefix, key)
    if redis.call('ZADD', list.waiters, 'XX', 'CH', priority, position) == 1 then
      redis.call('HDEL', list.records, '<')
    end
  end
  return 'OK'`,
  keys: ({ keys }) => keys,
  argv: ({ names, position, priority }) => [names.prefix, position, priority],
  parse: () => {},
};
