import type { Operation } from "../redis/operation.ts";
import { SLACK, RESERVATION } from "./wait-list-script.ts";
import type { Names } from "./stored-lock.ts";

/** A queue that a process looks after. */
export interface WatchedQueue {
  /** As it stands in places. */
  readonly queueId: string;
  /** Milliseconds since a worker of this process has taken up a job of the queue. */
  readonly servedAgo: number;
}

/** Most keys of one queue that one call names. */
export const MOST_DUE = 100;

/** Most keys that become due at once when a queue comes back that was passed over. */
const MOST_REVIVED = 10_000;

/**
 * Names the keys that must be checked now: free ones that jobs of the given queues wait for although the process that would
 * call them may be gone. A key that is named is not named again for the length of a turn, so that one process serves it; a
 * taken one is due when its lock ends, and one without waiters is forgotten.
 *
 * A queue that was passed over, and has taken up a job since, is preferred like any other again, and all its keys are due.
 */
export const dueOperation: Operation<
  { readonly names: Names; readonly queues: readonly WatchedQueue[] },
  readonly string[]
> = {
  name: "due",
  lua: `
  local prefix, found = argv[1], { 'OK' }
  for i = 2, #argv, 2 do
    local home, came = argv[i], clockOf() - tonumber(argv[i + 1])
    local due = prefix .. '@due:' .. home
    local ends, pause = passOf(prefix, home)
    if ends > 0 and ends - pause < came then
      noteQueue(prefix, home, string.format('+%.0f', came))
      ends = 0
      for _, key in ipairs(redis.call('ZRANGE', due, 0, ${MOST_REVIVED - 1})) do redis.call('ZADD', due, 'XX', '0', key) end
    end
    for _, key in ipairs(redis.call('ZRANGE', due, '-inf', string.format('%.0f', clockOf()), 'BYSCORE', 'LIMIT', '0', '${MOST_DUE}')) do
      local rest, turn, again = redis.call('PTTL', prefix .. key), prefix .. '@turn:' .. key, nil
      if redis.call('ZCARD', prefix .. '@waiters:' .. key) == 0 then
        redis.call('ZREM', due, key)
      elseif rest ~= -2 then
        again = rest < 0 and ${RESERVATION} or rest + ${SLACK}
      else
        local theirs = turnOf(turn)
        local left = theirs and redis.call('PTTL', turn) + ${SLACK} or 0
        if theirs and homeOf(theirs) ~= home then
          again = left
        elseif not theirs and ends > clockOf() then
          again = ends - clockOf()
        else
          found[#found + 1] = key
          again = math.max(left, ${RESERVATION})
        end
      end
      if again then redis.call('ZADD', due, string.format('%.0f', clockOf() + again), key) end
    end
  end
  return found`,
  keys: () => [],
  argv: ({ names, queues }) => [
    names.prefix,
    ...queues.flatMap(({ queueId, servedAgo }) => [queueId, Math.ceil(servedAgo)]),
  ],
  parse: ([, ...keys]) => keys.map(String),
};
