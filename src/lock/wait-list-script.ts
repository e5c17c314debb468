import { RETENTION } from "./stored-lock.ts";

/**
 * The line of a key on one master: who waits, in what order, and whose turn it is.
 *
 * A waiter has a _place_, `<13 digits of time>:<home>:<rest>`: places are compared as text, after the priority. The home
 * says who can call the waiter: the queue of a parked job, or the process of somebody who waits in a program. Its
 * _detail_, `<p, a or l><flags><run>[.<entry>]@<process>`, tells a parked one (p) from one that was refused, is about to
 * be parked and looks itself then (a), and from one that waits in a living process (l), and one registration of the same
 * place from another; what is left of an earlier run does not undo those of a later one. A living process has a lease in
 * the same hash, under `~<process>`.
 *
 * `P@queues` has `<until>:<pause>` for a home whose jobs do not come when they are called: others are preferred until then,
 * on every key, so that not each process has to learn it by a turn that goes by. A home that has come has `+<time>` instead.
 *
 * A _turn_ keeps a free key for one place, for a moment: else whoever happens to ask between the release and the arrival
 * of the first in line would go before it. The process that parked the job hears of the turn as a JSON list of key, token,
 * place and detail. Should that process be gone, the key is in `P@due:<home>` a moment later, for any worker of the home.
 */
/** Milliseconds for which a free key is kept for the waiter whose turn it is. */
export const RESERVATION = 2_000;

/** The same for one that waits in a process: it needs no slot in a queue, only to hear its call and to ask. */
export const LIVE_RESERVATION = 500;

/**
 * Milliseconds until a worker of the queue must check a key whose turn was given: nearly always the job has the key by then.
 */
export const HAND_OVER = 200;

/** Milliseconds after the end of a lock or a turn, by the master's word, at which the key is due. */
export const SLACK = 30;

/**
 * Milliseconds that a line is kept after somebody has joined it. A parked job comes back by itself, and joins again, after
 * some five minutes at most.
 */
export const WAIT_LIST_RETENTION = 900_000;

/** Milliseconds that the waiters of a process live on without word from it. */
export const LEASE = 4_000;

/**
 * For how many ms a home is passed over at first that does not come when it is called, and at most; doubled each time it
 * does not come again.
 */
export const SHORTEST_PASS = 10_000;
export const LONGEST_PASS = 300_000;

/** How many waiters a master names at once: those whose jobs are gone are passed over together. */
export const NAMED = 4;

/** Up to which rank a refused waiter is told how many of its own queue are before it. */
export const NEAR = 32;

/**
 * Most waiters that are looked at in one call, and how many at once behind the first: most of those are passed over, for
 * about a microsecond each.
 */
const MOST_STEPS = 10_000;
const STRIDE = 100;

/** Most waiters of a line that may be told that a later one replaces them, in one call: as many as join in a moment. */
export const MOST_REPLACED = 500;

/** Lua shared by the operations that touch a line. */
export const WAIT_LIST_PRELUDE = `
local function turnOf(key)
  local token, place = string.match(redis.call('GET', key) or '', '^(%d+):(.+)$')
  return place, token
end
local function runOf(detail)
  return tonumber(string.match(detail, '^%a+(%d+)') or 0)
end
local function leave(line, details, place)
  if redis.call('ZREM', line, place) == 0 then return end
  if redis.call('EXISTS', line) == 0 then redis.call('DEL', details) else redis.call('HDEL', details, place) end
end
-- Who has the key, or had it, waits no longer; its own next run may: BullMQ gives the job of a worker that sleeps to another.
local function leaveOnce(line, details, place, run)
  if redis.call('EXISTS', line) == 0 then return end
  local known = redis.call('HGET', details, place)
  if not known or runOf(known) <= run then leave(line, details, place) end
end
local function homeOf(place)
  return string.match(place, '^%d+:([^:]*):') or ''
end
local function noteQueue(prefix, home, note)
  redis.call('HSET', prefix .. '@queues', home, note)
  redis.call('PEXPIRE', prefix .. '@queues', ${WAIT_LIST_RETENTION})
end
local function hasCome(prefix, place)
  noteQueue(prefix, homeOf(place), string.format('+%.0f', clockOf()))
end
-- What a process holds against homes does not count where they have come since: it may not know of that.
local function skippedOf(prefix, argv, from)
  local skipped = {}
  for i = from, #argv do
    local age, home = string.match(argv[i], '^(-?%d+):(.*)$')
    local came = string.match(redis.call('HGET', prefix .. '@queues', home) or '', '^%+(%d+)$')
    if not came or tonumber(came) < clockOf() - tonumber(age) then skipped[home] = true end
  end
  return skipped
end
-- A parked job has nobody who looks after it but the workers of its queue: the key is due for them in so many ms.
local function isDue(prefix, key, place, detail, ms)
  if string.sub(detail, 1, 1) == 'l' then return end
  local due = prefix .. '@due:' .. homeOf(place)
  redis.call('ZADD', due, 'LT', string.format('%.0f', clockOf() + ms), key)
  redis.call('PEXPIRE', due, ${WAIT_LIST_RETENTION})
end
-- The last of the waiters at the front that were passed over, and their homes: nobody looks at all of them again.
local function frontOf(details)
  local homes, place = string.match(redis.call('HGET', details, '<') or '', '^([^|]*)|(.*)$')
  return place, homes
end
-- What is in the way ends in \`rest\` ms unless it is extended.
local function join(prefix, key, line, details, place, priority, detail, rest)
  redis.call('ZADD', line, priority, place)
  redis.call('HSET', details, place, detail)
  hasCome(prefix, place)
  isDue(prefix, key, place, detail, rest < 0 and ${RESERVATION} or rest + ${SLACK})
  local front = frontOf(details)
  local last = front and redis.call('ZRANK', line, front)
  if last and redis.call('ZRANK', line, place) <= last then redis.call('HDEL', details, '<') end
  redis.call('PEXPIRE', line, ${WAIT_LIST_RETENTION})
  redis.call('PEXPIRE', details, ${WAIT_LIST_RETENTION})
end
local function isLiving(detail)
  return string.sub(detail or '', 1, 1) == 'l'
end
-- How many of the same queue are before a place that is near the front; else how many wait before it.
local function aheadOf(line, place)
  local rank = redis.call('ZRANK', line, place)
  if not rank then return redis.call('ZCARD', line) end
  if rank == 0 or rank > ${NEAR} then return rank end
  local home, ahead = homeOf(place), 0
  for _, other in ipairs(redis.call('ZRANGE', line, 0, rank - 1)) do
    if homeOf(other) == home then ahead = ahead + 1 end
  end
  return ahead
end
-- Who was granted the key last: it does not come before anybody, though its queue may not know yet that it is done.
local function lastHolder(newest)
  return string.match(redis.call('HGET', newest, 'held') or '', '^%d+:(.*)$')
end
-- Who is first of a line and of others, given as priorities and places from an index on, if that is one before a place.
local function firstBefore(line, last, place, priority, others, from)
  local head = redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')
  local first, rank = head[1] or place, tonumber(head[2] or priority)
  for i = from, #others, 2 do
    local other, score = others[i + 1], tonumber(others[i])
    if other ~= last and (score < rank or (score == rank and other < first)) then first, rank = other, score end
  end
  if rank < priority or (rank == priority and first < place) then return first end
end
-- The latest of those who stand for earlier ones.
local function replaceUpTo(details, place)
  local latest = redis.call('HGET', details, '^') or ''
  if place > latest then redis.call('HSET', details, '^', place) end
end
-- What is kept of the jobs that replace earlier ones of the key of a lock.
local function newestOf(prefix, lock)
  return prefix .. '@newest:' .. string.sub(lock, #prefix + 1)
end
local function noteNewest(newest, field, value)
  redis.call('HSET', newest, field, value)
  redis.call('PEXPIRE', newest, ${RETENTION})
end
local function noteDone(newest, place)
  if place > (redis.call('HGET', newest, 'done') or '') then noteNewest(newest, 'done', place) end
end
-- The place of the holder with that token, if it is later than the one given.
local function laterHolder(newest, token, place)
  local held, later = string.match(newest and redis.call('HGET', newest, 'held') or '', '^(%d+):(.*)$')
  return token and held == token and later > place and later or nil
end
local function isThere(details, detail)
  local process = string.match(detail, '^l[^@]*@(.*)$')
  return not process or tonumber(redis.call('HGET', details, '~' .. process) or 0) >= clockOf()
end
-- Until when a home is passed over, and for how long that is.
local function passOf(prefix, home)
  local ends, pause = string.match(redis.call('HGET', prefix .. '@queues', home) or '', '^(%d+):(%d+)$')
  return tonumber(ends or 0), tonumber(pause or ${SHORTEST_PASS / 2})
end
local function passOver(prefix, home)
  local ends, pause = passOf(prefix, home)
  if ends > clockOf() then return end
  pause = math.min(2 * pause, ${LONGEST_PASS})
  noteQueue(prefix, home, string.format('%.0f:%.0f', clockOf() + pause, pause))
end
local function firstOf(prefix, line, details, skipped, prefers)
  local first, passed, homes, index, steps, size = {}, {}, {}, 0, 0, ${NAMED}
  local last, behind, resumed = nil, 0, false
  local function passes(home)
    if passed[home] == nil then passed[home] = skipped[home] or (prefers and passOf(prefix, home) > clockOf()) or false end
    return passed[home]
  end
  while steps < ${MOST_STEPS} do
    local places = redis.call('ZRANGE', line, index, index + size - 1, 'WITHSCORES')
    if #places == 0 then break end
    for i = 1, #places, 2 do
      local place = places[i]
      local home = homeOf(place)
      -- One that waits in a process needs no slot of its queue.
      if passes(home) and not isLiving(redis.call('HGET', details, place)) then
        index = index + 1
        if not first[1] then
          last, behind, homes[home] = place, behind + 1, true
        end
      else
        local detail = redis.call('HGET', details, place)
        if not detail or not isThere(details, detail) then
          leave(line, details, place)
        else
          index = index + 1
          first[#first + 1] = { place, detail, places[i + 1] }
          if #first == ${NAMED} then break end
        end
      end
    end
    if #first == ${NAMED} or (first[1] and size == ${STRIDE}) then break end
    steps = steps + size
    size = ${STRIDE}
    if not first[1] and not resumed then
      resumed = true
      local front, theirs = frontOf(details)
      local rank = front and redis.call('ZRANK', line, front)
      for home in string.gmatch(theirs or '', '%S+') do
        rank = passes(home) and rank
      end
      if rank and rank >= index then
        index, behind, size = rank + 1, 0, ${NAMED}
        for home in string.gmatch(theirs, '%S+') do homes[home] = true end
      end
    end
  end
  if behind >= ${STRIDE} then
    local names = {}
    for home in pairs(homes) do names[#names + 1] = home end
    redis.call('HSET', details, '<', table.concat(names, ' ') .. '|' .. last)
  end
  return first
end
local function call(prefix, key, turn, token, detail, place, life)
  redis.call('SET', turn, token .. ':' .. place, 'PX', life)
  local theirs = string.match(detail, '@(.*)$') or ''
  redis.pcall('PUBLISH', prefix .. '@called:' .. theirs, cjson.encode({ key, token, place, detail }))
  isDue(prefix, key, place, detail, ${HAND_OVER})
end
local NOBODY = { 'NOBODY', 0 }
-- Gives the turn to the first in line. Who can wake it without a message is not sent one.
local function serve(prefix, key, turn, line, details, token, process, home, skipped)
  -- Nearly always.
  if redis.call('ZCARD', line) == 0 then return NOBODY end
  for home in pairs(skipped) do passOver(prefix, home) end
  local first = firstOf(prefix, line, details, skipped, true)
  if not first[1] then first = firstOf(prefix, line, details, skipped, false) end
  local head = first[1]
  if not head then return { 'NOBODY', redis.call('ZCARD', line) } end
  local kind, theirs = string.match(head[2], '^(.)[^@]*@(.*)$')
  local life = kind == 'l' and ${LIVE_RESERVATION} or ${RESERVATION}
  if theirs == process or (kind ~= 'l' and home ~= '' and homeOf(head[1]) == home) then
    redis.call('SET', turn, token .. ':' .. head[1], 'PX', life)
  else
    call(prefix, key, turn, token, head[2], head[1], life)
  end
  -- For the queues of those after the first, too: the process that gives the turn and the one that has it may both be gone.
  local told = {}
  for _, waiter in ipairs(first) do
    local theirs = homeOf(waiter[1])
    if not told[theirs] then isDue(prefix, key, waiter[1], waiter[2], ${HAND_OVER}) end
    told[theirs] = true
  end
  return { 'HEAD', redis.call('ZCARD', line), first }
end`;
