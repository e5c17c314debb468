import { SLACK } from "./queues-lua.ts";
import { RESERVATION } from "./reservations-lua.ts";

/** The Lua functions that the operations of locks call, see `lock/wait-list-hooks.ts`. */
export const HOOKS_LUA = `
local function requesterOf(argv, from, count)
  local position = argv[from]
  if not position then return end
  return { position = position, several = count > 1, run = tonumber(argv[from + 1]), replaceable = argv[from + 2] == '1',
    priority = argv[from + 3], record = argv[from + 4], replaces = argv[from + 5] == '1',
    strict = tonumber(argv[from + 6]), absentRecord = argv[from + 7], argv = argv, others = from + 8 }
end
-- The positions and priorities, in turn, of jobs that are before a requester that keeps to the order, and want the key.
local function predecessorsOf(requester, key)
  local argv, found = requester.argv, {}
  for i = requester.others, #argv, 3 do
    for _, wanted in ipairs(cjson.decode(argv[i + 2])) do
      if wanted == key then found[#found + 1], found[#found + 2] = argv[i + 1], argv[i] end
    end
  end
  return found
end
-- Whether a waiter comes before another one, by their priorities and positions.
local function isBefore(priority, position, other, otherPosition)
  return priority < other or (priority == other and position < otherPosition)
end
-- The first of the wait list and of jobs that have not joined it, if that is before a requester that keeps to the order.
local function firstBefore(list, requester)
  local position, priority = requester.position, requester.strict
  local last, holder = lastHolders(list)
  local head = redis.call('ZRANGE', list.waiters, 0, 0, 'WITHSCORES')
  local first, lowest = head[1] or position, tonumber(head[2] or priority)
  local others = predecessorsOf(requester, list.key)
  for i = 1, #others, 2 do
    local other, score = others[i], tonumber(others[i + 1])
    if other ~= last and other ~= holder and isBefore(score, other, lowest, first) then first, lowest = other, score end
  end
  if first ~= position and isBefore(lowest, first, priority, position) then return first end
end
-- Whether a requester that wants several keys comes before the waiter that has the reservation, which does not stop it. Else two of
-- them, each with the reservation of one key, would stop at that of the other, and pass both reservations on.
local function comesBefore(prefix, key, requester, position, forRetry)
  if not requester or not requester.several or forRetry then return false end
  local waiters = prefix .. '@waiters:' .. keyOfSlot(key)
  local other = redis.call('ZSCORE', waiters, position)
  local own = redis.call('ZSCORE', waiters, requester.position) or (requester.record ~= '' and requester.priority)
  return other and own and isBefore(tonumber(own), requester.position, tonumber(other), position)
end
local function reservedFor(prefix, key, requester)
  local reservation = prefix .. '@reserved:' .. key
  local position, token, forRetry = reservationOf(reservation)
  if position then
    if requester and position == requester.position then return end
    if not comesBefore(prefix, key, requester, position, forRetry) then
      return position, token, redis.call('PTTL', reservation)
    end
  end
  local first = requester and requester.strict and firstBefore(waitListOf(prefix, key), requester)
  if first then return first, '0', ${RESERVATION} end
end
-- The slot that is reserved for the requester, or all that are free.
local function freeSlots(prefix, name, limit, requester)
  local key, names, free = keyOfSlot(name), {}, {}
  for slot = 0, limit - 1 do names[slot + 1] = prefix .. slotName(key, slot) end
  local locks = redis.call('MGET', unpack(names))
  for slot = 0, limit - 1 do
    -- MGET does not show what is no string.
    if not locks[slot + 1] and redis.call('EXISTS', names[slot + 1]) == 0 then
      local position, _, forRetry = reservationOf(prefix .. '@reserved:' .. slotName(key, slot))
      if position and requester and position == requester.position then return tostring(slot) end
      if not position or comesBefore(prefix, key, requester, position, forRetry) then free[#free + 1] = slot end
    end
  end
  return table.concat(free, ',')
end
local function replacedBy(prefix, key, requester)
  local latest = requester.replaceable and latestOf(waitListOf(prefix, key)) or ''
  if latest > requester.position then return latest end
end
local function onConflict(prefix, key, requester, token, rest, isNew, limit, own)
  local list, position, record = waitListOf(prefix, key), requester.position, withLimit(requester.record, limit)
  local later = requester.replaceable and laterHolder(list, token, position) or nil
  -- A request that arrives after its own rollback or release joins nothing. A requester that the holder replaces does not wait.
  if isNew and record ~= '' and not later then
    local known = redis.call('HGET', list.records, position) or ''
    -- A late request does not undo what the job has done since.
    if known ~= 'p' .. string.sub(record, 2) and runOf(known) <= runOf(record) then
      join(list, position, requester.priority, record, rest)
      if requester.replaces then replaceUpTo(list, position) end
      if known ~= '' then
        -- Its limit was thought to be out of use.
        local _, largest = usedLimits(list)
        if largest > limit then dropReservations(list, position, largest, own) end
      end
    end
  end
  if isNew and requester.strict then
    local others, last, holder = predecessorsOf(requester, list.key), lastHolders(list)
    for i = 1, #others, 2 do
      local other = others[i]
      if other ~= last and other ~= holder and not redis.call('HGET', list.records, other) then
        join(list, other, others[i + 1], requester.absentRecord, rest)
      end
    end
  end
  local waiting, rank = redis.call('ZCARD', list.waiters), redis.call('ZRANK', list.waiters, position)
  if not rank then return waiting, -1, later end
  return aheadOf(list, position, rank), waiting - 1, later
end
-- Nothing releases the slots that a higher limit adds: each grant hands over one to a job that was parked with a limit out of use.
local function serveAdded(list, limit, token)
  local first = redis.call('ZRANGE', list.waiters, 0, 0)[1]
  local record = first and redis.call('HGET', list.records, first)
  if not record or limitOf(record) >= limit then return end
  local slot = string.match(freeSlots(list.prefix, list.name, limit), '%d+')
  local added = slot and waitListOf(list.prefix, slotName(list.key, tonumber(slot)))
  if added and allowedOf(added, record) > added.slot then serve(added, token, '', '', {}) end
end
local function onGrant(prefix, key, requester, token, limit)
  local list, position = waitListOf(prefix, key), requester.position
  if requester.replaceable and redis.call('HGET', list.records, '^') == position then redis.call('HDEL', list.records, '^') end
  if requester.replaceable or requester.strict then noteNewest(list, heldField(list), token .. ':' .. position) end
  local hasWaiters = redis.call('EXISTS', list.records) == 1
  if hasWaiters then noteServed(prefix, position) end
  leaveRun(list, position, requester.run)
  if hasWaiters and limit > 1 then
    dropReservations(list, position, limit, token)
    serveAdded(list, limit, token)
  end
end
local function onHold(prefix, key, ms)
  local first = redis.call('ZRANGE', prefix .. '@waiters:' .. keyOfSlot(key), 0, 0)[1]
  if first then setDue(prefix, key, first, '', ms + ${SLACK}) end
end
local function onExtend(prefix, key, token, position)
  keepForRetry(waitListOf(prefix, key), token, position)
end
local function onRelease(prefix, key, token, isHeld, argv, from, rest, isLast, isNew)
  local position, run, process, queueId, done, keepsRetry, strict = unpack(argv, from, from + 6)
  local keeps, isStrict, skippedFrom = keepsRetry == '1' and (isLast or isNew) and not rest, strict == '1', from + 7
  -- The usual case.
  if not rest and not isStrict and done == '' and not keeps and redis.call('EXISTS', prefix .. '@waiters:' .. keyOfSlot(key)) == 0 then return end
  local list = waitListOf(prefix, key)
  if isStrict and not isHeld then pcall(forgetGrant, list, token, position) end
  if isHeld then
    if position ~= '' then leaveRun(list, position, tonumber(run)) end
    if done ~= '' then pcall(noteDone, list, done) end
    if isStrict then pcall(noteReleased, list, token, position) end
    if keeps then
      local since = not isLast and select(2, reservationOf(list.reservation))
      if not since or not above(since, token) then
        local ok, reply = pcall(keepForRetry, list, token, position)
        return ok and reply or nil
      end
    end
    if not rest then
      if not isLast and redis.call('EXISTS', list.waiters) == 1 then
        -- The request is late, or executed twice.
        local reserved, since, forRetry = reservationOf(list.reservation)
        if reserved and (above(since, token) or (forRetry and since == token)) then return reservedReply(list, reserved, since, forRetry) end
      end
      -- A full server refuses; the key is free all the same.
      local ok, reply = pcall(function()
        return serve(list, token, process, queueId, skippedOf(prefix, argv, skippedFrom))
      end)
      return ok and reply or nil
    end
  end
  local waiting = redis.call('ZCARD', list.waiters)
  if rest then return { 'HELD', rest, waiting } end
  if waiting > 0 then return { 'FREE', waiting } end
end
local function waitersOf(prefix, key, from, to)
  local waiters = prefix .. '@waiters:' .. keyOfSlot(key)
  local waiting = redis.call('ZCARD', waiters)
  local reservation = prefix .. '@reserved:' .. key
  local position, _, forRetry = reservationOf(reservation)
  return waiting, waiting > 0 and redis.call('ZRANGE', waiters, from, to, 'WITHSCORES') or {},
    position and { position, forRetry and 1 or 0, redis.call('PTTL', reservation) } or {}
end`;
