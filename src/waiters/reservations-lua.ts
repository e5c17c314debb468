import { HAND_OVER } from "./queues-lua.ts";

/** Milliseconds for which a free key is reserved for a parked job. */
export const RESERVATION = 2_000;

/** The same for a live waiter, which only has to receive the message and to ask. */
export const LIVE_RESERVATION = 500;

/** Milliseconds for which a key is kept for a job that has failed, or whose process has died, and that will run again. */
export const RETRY_RESERVATION = 600_000;

/** The record of a job for which a key is kept, and which is in no wait list. */
export const RETRY_RECORD = "k";

/**
 * Lua functions on the reservation of a key, above those on its wait list.
 *
 * A _reservation_ keeps a free key for one position for a moment. Without it a client that happens to ask between a release and the
 * arrival of the first waiter would go first. The process that parked the job receives a message: key, token, position and
 * record as a JSON list. If that process is gone, another one with a worker of the queue receives it. Both may be gone, so a moment
 * later the key is due for every worker of the queue.
 *
 * A reservation that is _kept_ is for a job that will run again, and is in no wait list: its record is `k`. It is not
 * woken. As long as there are waiters, the key is due again and again, so that a worker of its queue finds out when it is gone.
 */
export const RESERVATIONS_LUA = `
local function reserve(list, token, position, ms)
  noteWaiting(list)
  redis.call('SET', list.reservation, token .. ':' .. position, 'PX', ms)
end
local function keepForRetry(list, token, position)
  reserve(list, token .. 'k', position, ${RETRY_RESERVATION})
  local waiting = redis.call('ZCARD', list.waiters)
  if waiting > 0 then setDue(list.prefix, list.name, position, '', ${RESERVATION}) end
  return { 'RESERVED', position, token, ${RETRY_RESERVATION}, waiting, '${RETRY_RECORD}' }
end
-- The answer for a key that was reserved before.
local function reservedReply(list, position, token, forRetry)
  local record = redis.call('HGET', list.records, position) or (forRetry and '${RETRY_RECORD}' or '')
  return { 'RESERVED', position, token, redis.call('PTTL', list.reservation), redis.call('ZCARD', list.waiters), record }
end
local function wake(list, token, position, record)
  local process = string.match(record, '@(.*)$') or ''
  local message = cjson.encode({ list.name, token, position, record })
  local received = redis.pcall('PUBLISH', list.prefix .. '@wake:' .. process, message)
  local other = received == 0 and not isLive(record) and processOf(list.prefix, queueIdOf(position))
  if other then redis.pcall('PUBLISH', list.prefix .. '@wake:' .. other, message) end
  setDue(list.prefix, list.name, position, record, ${HAND_OVER})
end
-- Notes that the key is reserved for a parked job. Returns 1 if it was so before, and the job has let that reservation expire.
local function noteReserved(list, position, record)
  local field, identity = '>' .. list.slot, record .. ' ' .. position
  local at, last = string.match(redis.call('HGET', list.records, field) or '', '^(%d+) (.*)$')
  redis.call('HSET', list.records, field, string.format('%.0f %s', clockOf(), identity))
  return last == identity and clockOf() - at >= ${RESERVATION} and 1 or 0
end
-- Reserves the free key for the first waiter; nil when there is none. The process that asks wakes its own waiters, and jobs of
-- its queue, without a message.
local function serve(list, token, process, queueId, skipped)
  if redis.call('ZCARD', list.waiters) == 0 then return end
  for skippedId in pairs(skipped) do skipQueue(list.prefix, skippedId) end
  local first = firstOf(list, skipped, true)
  if not first[1] then first = firstOf(list, skipped, false) end
  if not first[1] then return { 'FREE', redis.call('ZCARD', list.waiters) } end
  local position, record = first[1][1], first[1][2]
  reserve(list, token, position, isLive(record) and ${LIVE_RESERVATION} or ${RESERVATION})
  local missed = string.sub(record, 1, 1) == 'p' and noteReserved(list, position, record) or 0
  local isOwn = string.match(record, '@(.*)$') == process
  if not isOwn and (isLive(record) or queueId == '' or queueIdOf(position) ~= queueId) then
    wake(list, token, position, record)
  end
  -- Also for the queues of the others: the process that asks, and the one that has the reservation, may both be gone.
  local isSet = {}
  for _, waiter in ipairs(first) do
    local id = queueIdOf(waiter[1])
    if not isSet[id] then setDue(list.prefix, list.name, waiter[1], waiter[2], ${HAND_OVER}) end
    isSet[id] = true
  end
  local others = {}
  for slot = 0, allowedOf(list, record) - 1 do
    local other = list.slots and list.slots[slot]
    local rank = other and redis.call('ZRANK', list.waiters, other)
    if rank then
      others[#others + 1] = { slot, other, redis.call('ZRANGE', list.waiters, rank, rank, 'WITHSCORES')[2] }
    end
  end
  return { 'NEXT', redis.call('ZCARD', list.waiters), first, others, missed }
end
-- A waiter that has a slot, or is gone, keeps no other one: those go to the next waiters, whose processes receive a message.
local function dropReservations(list, position, limit, token)
  for slot = 0, limit - 1 do
    local other = waitListOf(list.prefix, slotName(list.key, slot))
    if slot ~= list.slot and reservationOf(other.reservation) == position then
      redis.call('DEL', other.reservation)
      serve(other, token, '', '', {})
    end
  end
end`;
