/**
 * The line of a key on one master: who waits, in what order, and whose turn it is.
 *
 * A waiter has a _place_, `<13 digits of time>:<home>:<rest>`: places are compared as text, after the priority. The home
 * says who can call the waiter: the queue of a parked job, or the process of somebody who waits in a program. Its
 * _detail_, `<p, a or l><flags><run>@<process>`, tells a parked one (p) from one that was refused, is about to be parked
 * and looks itself then (a), and from one that waits in a living process (l), and one registration of the same place from
 * another. A living process has a lease in the same hash, under `~<process>`.
 *
 * A _turn_ keeps a free key for one place, for a moment: else whoever happens to ask between the release and the arrival
 * of the first in line would go before it.
 */

/** Milliseconds for which a free key is kept for the waiter whose turn it is. */
export const TURN = 2_000;

/** The same for one that waits in a process: it needs no slot in a queue, only to hear its call and to ask. */
export const LIVING_TURN = 500;

/**
 * Milliseconds that a line is kept after somebody has joined it. A parked job comes back by itself, and joins again, after
 * five minutes at most.
 */
export const LINE_RETENTION = 900_000;

/** Milliseconds that the waiters of a process live on without word from it. */
export const LEASE = 4_000;

/** How many waiters a master names at once: those whose jobs are gone are passed over together. */
export const NAMED = 4;

/** Most waiters that are looked at in one call: one that was passed over costs about a microsecond. */
const MOST_STEPS = 500;

/** Most waiters of a line that may be told that a later one replaces them, in one call. */
export const MOST_REPLACED = 50;

/** Lua shared by the operations that touch a line. */
export const LINE_PRELUDE = `
local function turnOf(key)
  local token, place = string.match(redis.call('GET', key) or '', '^(%d+):(.+)$')
  return place, token
end
local function leave(line, details, place)
  if redis.call('ZREM', line, place) == 0 then return end
  if redis.call('EXISTS', line) == 0 then redis.call('DEL', details) else redis.call('HDEL', details, place) end
end
local function join(line, details, place, priority, detail)
  redis.call('ZADD', line, priority, place)
  redis.call('HSET', details, place, detail)
  redis.call('PEXPIRE', line, ${LINE_RETENTION})
  redis.call('PEXPIRE', details, ${LINE_RETENTION})
end
local function homeOf(place)
  return string.match(place, '^%d+:([^:]*):') or ''
end
local function isThere(details, detail)
  local process = string.match(detail, '^l[^@]*@(.*)$')
  return not process or tonumber(redis.call('HGET', details, '~' .. process) or 0) >= clockOf()
end
local function firstOf(line, details, skipped)
  local first, index = {}, 0
  for _ = 1, ${MOST_STEPS / NAMED} do
    local places = redis.call('ZRANGE', line, index, index + ${NAMED - 1}, 'WITHSCORES')
    if #places == 0 then break end
    for i = 1, #places, 2 do
      local place = places[i]
      local detail = redis.call('HGET', details, place)
      if not detail or not isThere(details, detail) then
        leave(line, details, place)
      else
        index = index + 1
        if not skipped[homeOf(place)] then first[#first + 1] = { place, detail, places[i + 1] } end
        if #first == ${NAMED} then return first end
      end
    end
  end
  return first
end
local function call(turn, channel, token, detail, place, life)
  redis.call('SET', turn, token .. ':' .. place, 'PX', life)
  redis.pcall('PUBLISH', channel, token .. ':' .. detail .. ':' .. place)
end
-- Gives the turn to the first in line. Who can wake it without a message is not sent one.
local function serve(turn, line, details, channel, token, process, home, skipped)
  local first = firstOf(line, details, skipped)
  local head = first[1]
  if not head then return { 'NOBODY', redis.call('ZCARD', line) } end
  local kind, theirs = string.match(head[2], '^(.)[^@]*@(.*)$')
  local life = kind == 'l' and ${LIVING_TURN} or ${TURN}
  if theirs == process or (kind ~= 'l' and home ~= '' and homeOf(head[1]) == home) then
    redis.call('SET', turn, token .. ':' .. head[1], 'PX', life)
  else
    call(turn, channel, token, head[2], head[1], life)
  end
  return { 'HEAD', redis.call('ZCARD', line), first }
end`;
