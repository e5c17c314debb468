import { SLOTS_LUA } from "./slots.ts";
import { RETENTION } from "./stored-lock.ts";

/** Milliseconds for which a limit is reported after its last use: all processes have the new one when a deployment is over. */
export const REPORTED_LIMIT_AGE = 60_000;

/**
 * Lua functions on locks, marks and the guard. What belongs to the master itself, the guard and the clock, is read once for all
 * operations of a script call.
 */
export const LOCK_LUA = `${SLOTS_LUA}
local function holderOf(value)
  local token, owner = string.match(value, '^q?(%d+):([%w_-]+):')
  return owner, token
end
local function parseMarks(value)
  if not value then return '0', '0' end
  local mark, closed = string.match(value, '^(%d+):(%d+)$')
  return mark or '0', closed or '0'
end
local function marksOf(key)
  return parseMarks(redis.call('GET', key))
end
local guard
local function guardOf(key)
  if not guard or guard.key ~= key then
    local server, state, armed, ready, longest, agreed =
      string.match(redis.call('GET', key) or '', '^([^:]+):(%a+):(%d+):(%d+):(%d+):(%d+)$')
    guard = { key = key, server = server, state = state, armed = tonumber(armed), ready = tonumber(ready),
      longest = tonumber(longest), agreed = tonumber(agreed) }
  end
  return guard
end
local function setGuard(set)
  -- A full server refuses: then the stored guard counts.
  guard = nil
  redis.call('SET', set.key, string.format('%s:%s:%.0f:%.0f:%.0f:%.0f',
    set.server, set.state, set.armed, set.ready, set.longest, set.agreed))
end
-- Why a guard gives no vote, if it does not: there is none, it names another server, or it is not sure yet.
local function unarmed(read)
  if not read.server then return 'absent' end
  if read.server ~= server then return 'other' end
  if read.state ~= 'sure' then return 'unsure' end
end
local now
local function clockOf()
  if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return now
end
-- The ms for which an armed guard gives no vote yet.
local function quarantineOf(read)
  return read.ready > 0 and math.max(0, read.ready - clockOf()) or 0
end
-- Compares tokens in digits; turning them into numbers costs several times as much.
local function above(a, b)
  if #a ~= #b then return #a > #b end
  return a > b
end
local function highest(a, b)
  if above(b, a) then return b end
  return a
end
-- Raises the marks of a key to at least these. They nearly always grow: the old ones are compared afterwards.
local function raiseMarks(key, mark, closed)
  local old = redis.call('SET', key, mark .. ':' .. closed, 'PX', ${RETENTION}, 'GET')
  if not old then return end
  local oldMark, oldClosed = parseMarks(old)
  if above(oldMark, mark) or above(oldClosed, closed) then
    redis.call('SET', key, highest(mark, oldMark) .. ':' .. highest(closed, oldClosed), 'PX', ${RETENTION})
  end
end
-- Notes that the key is used with a limit: readers know by it which slots there are.
local function noteLimit(prefix, slot, limit)
  local limits = prefix .. '@limits:' .. keyOfSlot(slot)
  redis.call('ZADD', limits, string.format('%.0f', clockOf()), tostring(limit))
  redis.call('PEXPIRE', limits, ${RETENTION})
end
-- The same, and returns the largest other limit that a client has used the key with just now, or nil.
local function otherLimit(prefix, slot, limit)
  local known = redis.call('ZRANGE', prefix .. '@limits:' .. keyOfSlot(slot), 0, -1, 'WITHSCORES')
  local largest
  noteLimit(prefix, slot, limit)
  for i = 1, #known, 2 do
    local other, at = tonumber(known[i]), tonumber(known[i + 1])
    if other ~= limit and at > clockOf() - ${REPORTED_LIMIT_AGE} then largest = math.max(largest or 0, other) end
  end
  return largest
end`;
