import { FRONT_OFFSET } from "./move-operation.ts";
import { WAITING } from "../lock/stored-lock.ts";
import { SLACK, WAIT_LIST_RETENTION } from "./queues-lua.ts";
import { RESERVATION } from "./reservations-lua.ts";

/** Milliseconds for which live waiters stay in a wait list without a request of their process. */
export const LIVE_RETENTION = 4_000;

/** How many waiters a master names: those whose jobs are gone are removed together. */
export const NAMED = 4;

/** How many it names at most, when many are gone, as after `queue.drain(true)`: their states travel in one batch. */
export const MOST_NAMED = 256;

/**
 * Milliseconds after which a limit that no client has used for the key is out of use: a deployment
 * has changed it, and jobs that were parked with it are handed the slots that other clients use. A
 * holder that lives uses it with each extend.
 */
export const LIMIT_USE = 5_000;

/**
 * Up to this rank a refused waiter learns how many waiters of its own queue are before it. Behind
 * it, it learns that as long as fewer than {@link MANY} are among the last {@link SEARCHED} before
 * it: its alarm depends on no more.
 */
export const NEAR = 32;
export const MANY = 9;
export const SEARCHED = 512;

/**
 * How many waiters one call examines at most, and how many at once behind the first: most of those
 * belong to skipped queues, and cost about a microsecond each.
 */
const MOST_STEPS = 10_000;
const STRIDE = 100;

/**
 * Lua functions on the wait list of a key.
 *
 * A waiter has a _position_, `<13 digits of time>:<queueId>:<rest>`; positions are compared as
 * text, after the priority. The queueId names the queue of a parked job, or the process of a live
 * waiter. The _record_ of a waiter is `<p, a or l><flags><run>[.<join>][/<limit>]@<process>`:
 * parked; arriving, that is refused and about to be parked; or live, in a process. `run` and
 * `join` distinguish the registrations of a position, so that what is left of an earlier run does
 * not undo a later one. The same hash has four kinds of notes:
 *
 * - `~<process>`: until when the live waiters of a process count as alive;
 * - `><slot>`: when the slot was last reserved for a parked job, its record and its position;
 * - `<`: the last of the skipped waiters at the front, and their queues;
 * - `^`: the latest position that supersedes earlier ones, see `newest-lua.ts`.
 */
export const WAIT_LIST_LUA = `
-- The wait list of a key, and one of its slots.
local function waitListOf(prefix, name)
  local key, slot = keyOfSlot(name)
  return { prefix = prefix, key = key, name = name, slot = slot, waiters = prefix .. '@waiters:' .. key,
    records = prefix .. '@waiter:' .. key, reservation = prefix .. '@reserved:' .. name }
end
-- Called before a wait list or a reservation is written; both live no longer than this.
local function noteWaiting(list)
  redis.call('SET', list.prefix .. '${WAITING}', '1', 'PX', ${WAIT_LIST_RETENTION + SLACK})
end
local function reservationOf(reservation)
  local token, kept, position = string.match(redis.call('GET', reservation) or '', '^(%d+)(k?):(.+)$')
  return position, token, kept == 'k'
end
local function runOf(record)
  return tonumber(string.match(record, '^%a+(%d+)') or 0)
end
-- How many holders the waiter allows.
local function limitOf(record)
  return tonumber(string.match(record, '^[^@]*/(%d+)@') or 1)
end
-- The limits with which clients use the key, and the largest one.
local function usedLimits(list)
  if not list.limits then
    list.limits, list.largest = {}, 1
    local known = redis.call('ZRANGE', list.prefix .. '@limits:' .. list.key, 0, -1, 'WITHSCORES')
    for i = 1, #known, 2 do
      local limit = tonumber(known[i])
      if tonumber(known[i + 1]) > clockOf() - ${LIMIT_USE} then
        list.limits[limit], list.largest = true, math.max(list.largest, limit)
      end
    end
  end
  return list.limits, list.largest
end
-- The same, or as many as others do for a job that was parked with a limit that is out of use.
local function allowedOf(list, record)
  local limit = limitOf(record)
  if (limit == 1 and list.slot == 0) or string.sub(record, 1, 1) ~= 'p' then return limit end
  local used, largest = usedLimits(list)
  return used[limit] and limit or math.max(limit, largest)
end
local function withLimit(record, limit)
  return limit > 1 and (string.gsub(record, '@', '/' .. limit .. '@', 1)) or record
end
local function isLive(record)
  return string.sub(record or '', 1, 1) == 'l'
end
local function noteAlive(list, process)
  redis.call('HSET', list.records, '~' .. process, string.format('%.0f', clockOf() + ${LIVE_RETENTION}))
end
local function isAlive(list, record)
  local process = string.match(record, '^l[^@]*@(.*)$')
  return not process or tonumber(redis.call('HGET', list.records, '~' .. process) or 0) >= clockOf()
end
local function leave(list, position)
  if redis.call('ZREM', list.waiters, position) == 0 then return end
  if redis.call('EXISTS', list.waiters) == 0 then redis.call('DEL', list.records)
  else redis.call('HDEL', list.records, position) end
end
-- A run that has, or had, the key waits no longer. A later run may: BullMQ gives the job of a suspended worker to another.
local function leaveRun(list, position, run)
  if redis.call('EXISTS', list.waiters) == 0 then return end
  local record = redis.call('HGET', list.records, position)
  if not record or runOf(record) <= run then leave(list, position) end
end
-- The last of the skipped waiters at the front, and their queues: the next call begins behind them.
local function skippedFront(list)
  local queueIds, position = string.match(redis.call('HGET', list.records, '<') or '', '^([^|]*)|(.*)$')
  return position, queueIds
end
-- The ms until a taken slot can be free, -1 without an end; 0 for a free one. A reservation that is kept for long is checked before.
local function restOf(prefix, name)
  local rest = redis.call('PTTL', prefix .. name)
  if rest ~= -2 then return rest end
  return math.min(${RESERVATION}, math.max(0, redis.call('PTTL', prefix .. '@reserved:' .. name)))
end
-- The slots that a waiter can have are due when they can be free: once in a call for each queue.
local function setSlotsDue(list, position, record, rest)
  local limit, id = limitOf(record), queueIdOf(position)
  list.due = list.due or {}
  if isLive(record) or list.due[id] then return end
  list.due[id] = true
  for slot = 0, limit - 1 do
    local name = limit > 1 and slotName(list.key, slot) or list.name
    if limit > 1 then rest = restOf(list.prefix, name) end
    setDue(list.prefix, name, position, record, rest < 0 and ${RESERVATION} or rest + ${SLACK})
  end
end
-- What is in the way ends in \`rest\` ms unless it is extended; -1 without an end.
local function join(list, position, priority, record, rest)
  noteWaiting(list)
  local rank = redis.call('ZRANK', list.waiters, position)
  local score = rank and redis.call('ZRANGE', list.waiters, rank, rank, 'WITHSCORES')[2]
  -- A waiter that was moved to the front of its priority stays there.
  if score and tonumber(score) == tonumber(priority) - ${FRONT_OFFSET} then priority = score end
  redis.call('ZADD', list.waiters, priority, position)
  redis.call('HSET', list.records, position, record)
  noteServed(list.prefix, position)
  -- Nearly always all that join in one call have the same limit.
  local limit = limitOf(record)
  if list.noted ~= limit then
    if limit > 1 or redis.call('EXISTS', list.prefix .. '@limits:' .. list.key) == 1 then noteLimit(list.prefix, list.name, limit) end
    list.noted = limit
  end
  setSlotsDue(list, position, record, rest)
  local front = skippedFront(list)
  local last = front and redis.call('ZRANK', list.waiters, front)
  if last and redis.call('ZRANK', list.waiters, position) <= last then redis.call('HDEL', list.records, '<') end
  local reserved, _, forRetry = reservationOf(list.reservation)
  if forRetry then setDue(list.prefix, list.name, reserved, '', ${RESERVATION}) end
  redis.call('PEXPIRE', list.waiters, ${WAIT_LIST_RETENTION})
  redis.call('PEXPIRE', list.records, ${WAIT_LIST_RETENTION})
end
-- How many of the same queue are before a waiter, if those are few or it is near the front; else how many wait before it.
local function aheadOf(list, position, rank)
  local isNear, queueId, ahead, seen, size = rank <= ${NEAR}, queueIdOf(position), 0, 0, ${MANY}
  while seen < math.min(rank, ${SEARCHED}) do
    size = math.min(size, rank - seen, ${SEARCHED} - seen)
    for _, other in ipairs(redis.call('ZRANGE', list.waiters, rank - seen - size, rank - seen - 1)) do
      if queueIdOf(other) == queueId then ahead = ahead + 1 end
    end
    if ahead >= ${MANY} and not isNear then return rank end
    seen, size = seen + size, 4 * size
  end
  return ahead
end
-- Whether another slot is reserved for the waiter: it needs one only.
local function hasReservation(list, position, limit)
  if limit == 1 then return false end
  list.reserved, list.slots, list.checked = list.reserved or {}, list.slots or {}, list.checked or 0
  if list.checked < limit then
    local names = {}
    for slot = list.checked, limit - 1 do names[#names + 1] = list.prefix .. '@reserved:' .. slotName(list.key, slot) end
    for i, value in ipairs(redis.call('MGET', unpack(names))) do
      local other, slot = value and string.match(value, '^%d+k?:(.+)$'), list.checked + i - 1
      if other and slot ~= list.slot then list.reserved[other], list.slots[slot] = true, other end
    end
    list.checked = limit
  end
  return list.reserved[position]
end
-- The first waiters that can have the slot, and whose queues are not skipped. With \`skipsPaused\`, a queue that is paused by any process counts as skipped.
local function firstOf(list, skipped, skipsPaused)
  local found, index, known, named = {}, 0, {}, list.named or ${NAMED}
  -- How many skipped waiters were examined at the front, the last of them, and their queues.
  local behind, last, queueIds = 0, nil, {}
  local function isSkipped(queueId)
    if known[queueId] == nil then
      known[queueId] = skipped[queueId] or (skipsPaused and pauseOf(list.prefix, queueId) > clockOf()) or false
    end
    return known[queueId]
  end
  -- Examines the next waiters; whether to go on.
  local function examine(size)
    local positions = redis.call('ZRANGE', list.waiters, index, index + size - 1, 'WITHSCORES')
    for i = 1, #positions, 2 do
      local position = positions[i]
      local queueId = queueIdOf(position)
      local record = redis.call('HGET', list.records, position)
      -- A live waiter does not need a worker slot.
      if isSkipped(queueId) and not isLive(record) then
        index = index + 1
        if not found[1] then
          behind, last, queueIds[queueId] = behind + 1, position, true
        end
      elseif not record or not isAlive(list, record) then
        leave(list, position)
      else
        index = index + 1
        local limit = allowedOf(list, record)
        if limit > list.slot and not hasReservation(list, position, limit) then
          found[#found + 1] = { position, record, positions[i + 1] }
          if #found == named then break end
        end
      end
    end
    return #positions > 0 and not found[1]
  end
  -- Goes on behind the skipped waiters that an earlier call has noted, if their queues are still skipped; whether it does.
  local function jump()
    local front, frontQueues = skippedFront(list)
    local rank = front and redis.call('ZRANK', list.waiters, front)
    if not rank or rank < index then return false end
    for queueId in string.gmatch(frontQueues, '%S+') do
      if not isSkipped(queueId) then return false end
    end
    for queueId in string.gmatch(frontQueues, '%S+') do queueIds[queueId] = true end
    index, behind = rank + 1, 0
    return true
  end
  -- Some of them have another slot of a key with a limit.
  local goesOn, steps = examine(2 * named), 2 * named
  if goesOn and jump() then goesOn = examine(2 * named) end
  while goesOn and steps < ${MOST_STEPS} do
    goesOn, steps = examine(${STRIDE}), steps + ${STRIDE}
  end
  if behind >= ${STRIDE} then
    local names = {}
    for queueId in pairs(queueIds) do names[#names + 1] = queueId end
    redis.call('HSET', list.records, '<', table.concat(names, ' ') .. '|' .. last)
  end
  return found
end`;
