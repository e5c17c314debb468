import type { Operation } from "../redis/operation.ts";
import type { Names } from "../lock/stored-lock.ts";
import { SLACK } from "./queues-lua.ts";
import { RESERVATION } from "./reservations-lua.ts";

/** A queue whose waiters a process looks after. */
interface WatchedQueue {
  /** The encoded queueId, as in positions. */
  readonly queueId: string;
  /** Milliseconds since a worker of this process has taken up a job of the queue. */
  readonly servedAgo: number;
}

/** Which keys a process asks for. */
export interface DueQuestion {
  readonly names: Names;
  /** The process that asks; empty when it receives no messages. */
  readonly process: string;
  readonly queues: readonly WatchedQueue[];
}

/** What a master answers. */
export interface DueReply {
  /** Whether parked jobs of the queues wait for keys, due or not. */
  readonly areWaiting: boolean;
  /** Whether more keys of a queue may be due than were looked at. */
  readonly isFull: boolean;
  /** The keys that must be checked now. */
  readonly keys: readonly string[];
  /** Milliseconds for which the master gives no vote, because it has lost its memory; 0 when it votes. */
  readonly quarantine: number;
}

/** Most keys of one queue that are looked at for one question. */
export const MOST_DUE = 100;

/** Most keys that become due at once when an unresponsive queue is served again. */
const MOST_REVIVED = 10_000;

/**
 * Names the keys that must be checked now: free ones that jobs of the given queues wait for although the process that would
 * wake them may be gone. A key that is named is not named again for the length of a reservation, so that one process serves it.
 * A held key is due when its lock ends; a key without waiters is removed.
 *
 * The process that asks receives the messages for jobs of these queues whose own process is gone.
 *
 * A queue that was skipped, and has been served since, is preferred like any other again, and all its keys are due.
 */
export const dueOperation: Operation<DueQuestion, DueReply> = {
  name: "due",
  lua: `
  local prefix, process, found = argv[1], argv[2], { 'OK', 0, 0 }
  local guard = guardOf(prefix .. '@node')
  if not unarmed(guard) then found[3] = quarantineOf(guard) end
  for i = 3, #argv, 2 do
    local queueId, servedAt = argv[i], clockOf() - tonumber(argv[i + 1])
    if process ~= '' then noteQueue(prefix, '@' .. queueId, process) end
    local due = prefix .. '@due:' .. queueId
    if redis.call('EXISTS', due) == 1 then found[2] = math.max(found[2], 1) end
    local ends, pause = pauseOf(prefix, queueId)
    if ends > 0 and ends - pause < servedAt then
      noteQueue(prefix, queueId, string.format('+%.0f', servedAt))
      ends = 0
      for _, key in ipairs(redis.call('ZRANGE', due, 0, ${MOST_REVIVED - 1})) do redis.call('ZADD', due, 'XX', '0', key) end
    end
    local page = redis.call('ZRANGE', due, '-inf', string.format('%.0f', clockOf()), 'BYSCORE', 'LIMIT', '0', '${MOST_DUE}')
    if #page == ${MOST_DUE} then found[2] = 2 end
    for _, key in ipairs(page) do
      local list, rest, again = waitListOf(prefix, key), redis.call('PTTL', prefix .. key), nil
      if redis.call('ZCARD', list.waiters) == 0 then
        redis.call('ZREM', due, key)
      elseif rest ~= -2 then
        again = rest < 0 and ${RESERVATION} or rest + ${SLACK}
      else
        local reserved, _, forRetry = reservationOf(list.reservation)
        local left = reserved and redis.call('PTTL', list.reservation) + ${SLACK} or 0
        if reserved and queueIdOf(reserved) ~= queueId then
          again = left
        elseif not reserved and ends > clockOf() then
          again = ends - clockOf()
        else
          found[#found + 1] = key
          again = forRetry and ${RESERVATION} or math.max(left, ${RESERVATION})
        end
      end
      if again then redis.call('ZADD', due, string.format('%.0f', clockOf() + again), key) end
    end
  end
  return found`,
  keys: () => [],
  argv: ({ names, process, queues }) => [
    names.prefix,
    process,
    ...queues.flatMap(({ queueId, servedAgo }) => [queueId, Math.ceil(servedAgo)]),
  ],
  parse: ([, waiting, quarantine, ...keys]) => ({
    areWaiting: Number(waiting) > 0,
    isFull: Number(waiting) === 2,
    quarantine: Number(quarantine),
    keys: keys.map(String),
  }),
};
