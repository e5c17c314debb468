import { RETENTION } from "../lock/stored-lock.ts";

/**
 * Lua functions on the newest of the jobs that replace earlier ones of their key, and on the last holder:
 *
 * - `^` in the records of a wait list: the latest position that waits, and replaces the earlier ones.
 * - `P@newest:<key>`, a hash: `done`, the latest position that has succeeded; `held`, `<token>:<position>` of the
 *   last grant, and `held:<slot>` of that of a further slot; `last`, the same of the last release in strict order, also of a holder
 *   that this master has not granted the key.
 */
export const NEWEST_LUA = `
local function newestOf(list)
  return list.prefix .. '@newest:' .. list.key
end
local function noteNewest(list, field, value)
  local newest = newestOf(list)
  redis.call('HSET', newest, field, value)
  redis.call('PEXPIRE', newest, ${RETENTION})
end
local function heldField(list)
  return list.slot == 0 and 'held' or 'held:' .. list.slot
end
local function noteDone(list, position)
  if position > (redis.call('HGET', newestOf(list), 'done') or '') then noteNewest(list, 'done', position) end
end
local function replaceUpTo(list, position)
  local latest = redis.call('HGET', list.records, '^') or ''
  if position > latest then redis.call('HSET', list.records, '^', position) end
end
local function latestOf(list)
  local latest, done = redis.call('HGET', list.records, '^') or '', redis.call('HGET', newestOf(list), 'done') or ''
  return done > latest and done or latest
end
-- The position of the holder with that token, if it is later than the one given.
local function laterHolder(list, token, position)
  local held, later = string.match(redis.call('HGET', newestOf(list), heldField(list)) or '', '^(%d+):(.*)$')
  return token and held == token and later > position and later or nil
end
local function noteReleased(list, token, position)
  local last = string.match(redis.call('HGET', newestOf(list), 'last') or '', '^%d+')
  if not last or above(token, last) then noteNewest(list, 'last', token .. ':' .. position) end
end
-- A grant that is rolled back makes no holder.
local function forgetGrant(list, token, position)
  local held, holder = string.match(redis.call('HGET', newestOf(list), heldField(list)) or '', '^(%d+):(.*)$')
  if holder == position and not above(held, token) then redis.call('HDEL', newestOf(list), heldField(list)) end
end
-- The last holders come before no waiter, though their queue may not know yet that they are done.
local function lastHolders(list)
  local newest = redis.call('HMGET', newestOf(list), 'last', heldField(list))
  return string.match(newest[1] or '', '^%d+:(.*)$'), string.match(newest[2] or '', '^%d+:(.*)$')
end`;
