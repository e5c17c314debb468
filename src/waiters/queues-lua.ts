/**
 * Milliseconds for which a master keeps a wait list after its last join. A parked job comes back by itself, and joins again, after
 * some five minutes at most.
 */
export const WAIT_LIST_RETENTION = 900_000;

/** Milliseconds after a reservation until a worker of the queue checks the key: by then the job nearly always has it. */
export const HAND_OVER = 200;

/** Milliseconds after the end of a lock or a reservation, by the master's clock, until the key is checked. */
export const SLACK = 30;

/**
 * Milliseconds for which an unresponsive queue is skipped, at first and at most. The time doubles each time the queue is
 * found unresponsive again.
 */
export const SHORTEST_PAUSE = 10_000;
export const LONGEST_PAUSE = 300_000;

/**
 * Lua functions on what a master knows of queues:
 *
 * - `P@queues`, a hash: `<until>:<pause>` for an unresponsive queue. Waiters of other queues are preferred until then, on every key, so
 *   that not each process has to find out by a reservation that expires. `+<time>` for a queue that has taken up a job since.
 *   Under `@<queueId>` the process that receives the messages for jobs whose own process is gone: of those with a worker of the queue
 *   the last that has asked for due keys.
 * - `P@due:<queueId>`, a sorted set: the keys that parked jobs of the queue wait for, by the time at which a worker of the queue
 *   checks them. A parked job has no process of its own, and the process that would wake it may be gone.
 */
export const QUEUES_LUA = `
local function queueIdOf(position)
  return string.match(position, '^%d+:([^:]*):') or ''
end
local function noteQueue(prefix, queueId, note)
  redis.call('HSET', prefix .. '@queues', queueId, note)
  redis.call('PEXPIRE', prefix .. '@queues', ${WAIT_LIST_RETENTION})
end
local function processOf(prefix, queueId)
  return redis.call('HGET', prefix .. '@queues', '@' .. queueId)
end
local function noteServed(prefix, position)
  noteQueue(prefix, queueIdOf(position), string.format('+%.0f', clockOf()))
end
-- The process that reports unresponsive queues may not know that one was served since.
local function skippedOf(prefix, argv, from)
  local skipped = {}
  for i = from, #argv do
    local age, queueId = string.match(argv[i], '^(-?%d+):(.*)$')
    local servedAt = string.match(redis.call('HGET', prefix .. '@queues', queueId) or '', '^%+(%d+)$')
    if not servedAt or tonumber(servedAt) < clockOf() - tonumber(age) then skipped[queueId] = true end
  end
  return skipped
end
-- Until when a queue is skipped, and the length of that pause.
local function pauseOf(prefix, queueId)
  local ends, pause = string.match(redis.call('HGET', prefix .. '@queues', queueId) or '', '^(%d+):(%d+)$')
  return tonumber(ends or 0), tonumber(pause or ${SHORTEST_PAUSE / 2})
end
local function skipQueue(prefix, queueId)
  local ends, pause = pauseOf(prefix, queueId)
  if ends > clockOf() then return end
  pause = math.min(2 * pause, ${LONGEST_PAUSE})
  noteQueue(prefix, queueId, string.format('%.0f:%.0f', clockOf() + pause, pause))
end
-- A live waiter checks its keys itself.
local function setDue(prefix, key, position, record, ms)
  if string.sub(record, 1, 1) == 'l' then return end
  local due = prefix .. '@due:' .. queueIdOf(position)
  redis.call('ZADD', due, 'LT', string.format('%.0f', clockOf() + ms), key)
  redis.call('PEXPIRE', due, ${WAIT_LIST_RETENTION})
end`;
