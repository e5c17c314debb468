import { RESERVED, RETENTION, WAITERS, WAITING } from "./stored-lock.ts";

/**
 * The part of the script that serves the usual requests: a lock of one key that is extended or released and is stored
 * exactly as we left it, and a free key that is taken with a new token. It runs flat over all such entries of a call: no
 * JSON, no functions, one command for all entries where there is one.
 *
 * An entry that it cannot serve (`odd`) changes nothing here, and goes to the general part of the same call. Both parts have the
 * same outcome, and only the general part covers every case.
 */

/** The kinds of entries, in the order in which they are served. */
export const EXTEND = 0;
export const RELEASE = 1;
export const ACQUIRE = 2;

/** Digits of a token: those of microseconds since 1970, from 2001 to 2286. The fast path compares tokens as text. */
export const TOKEN_DIGITS = 16;

/** Arguments before those of the entries. */
const HEAD = 8;

/**
 * Sets `votes` and `longest` by the text of the guard. A text that has voted on this connection need not be read again while it
 * stands, and the replication id is the one in it: it never loses its vote by time.
 */
const READ_GUARD = `
    votes = guard == known and string.find(known, replid, 1, true) ~= nil
    if votes then longest = tonumber(string.match(known, '^.*:(%d+)$'))
    else
      local armed, state, ready, agreed = string.match(guard or '', '^([^:]+):(%a+):%d+:(%d+):%d+:(%d+)$')
      votes = armed == serverOf(known, replid) and state == 'sure'
      if votes then longest = tonumber(agreed) end
      if votes and ready ~= '0' then
        local time = call('TIME')
        votes = tonumber(ready) <= time[1] * 1000 + math.floor(time[2] / 1000)
      end
      if votes then served = guard end
    end`;

/** Goes to the next run of entries with the same `detail`. */
const NEXT_RUN = `
      run = run + 2
      detail, last = argv[run], tonumber(argv[run + 1])`;

/** What `ARGV` begins with for a single entry, by its kind. */
export const ALONE = { [RELEASE]: "RELEASE", [ACQUIRE]: "ACQUIRE" };

/**
 * One acquire or release alone, as a client with little to do sends it: no tables, and few commands. `ARGV` has its kind, the
 * prefix, the process, whether votes check the guard, the key, the value and the detail.
 *
 * A value of another type looks like none to `MGET`: a mark that seems to be missing is looked at again.
 */
const SERVE_ALONE = `
local argv, odd, oddCount, served = ARGV, {}, 0, 1
local extends, releases, acquires = 0, 0, 0
if argv[1] == '${ALONE[ACQUIRE]}' or argv[1] == '${ALONE[RELEASE]}' then
  local call, try, sub, byte = redis.call, redis.pcall, string.sub, string.byte
  local prefix, key, value, ttl, size, colon = argv[2], argv[5], argv[6], argv[7], ${TOKEN_DIGITS}, byte(':')
  local waiting = prefix .. '${WAITING}'
  local lock, fence, reserved, token = prefix .. key, prefix .. '@fence:' .. key, prefix .. '${RESERVED}' .. key, sub(value, 1, size)
  if argv[1] == '${ALONE[ACQUIRE]}' then
    local found = call('MGET', prefix .. '@node', fence, waiting)
    local guard, mark, votes, longest = found[1], found[2], true, math.huge
    if argv[4] == '1' then${READ_GUARD}
    end
    local closed
    if votes and tonumber(ttl) <= longest and (not found[3] or call('EXISTS', reserved) == 0) then
      if not mark then closed = call('EXISTS', fence) == 0 and ':0'
      elseif byte(mark, size + 1) == colon and mark < token then closed = sub(mark, size + 1) end
    end
    local granted = closed and try('SET', lock, value, 'NX', 'PX', ttl)
    if granted and granted.ok then
      if try('SET', fence, token .. closed, 'PX', '${RETENTION}').ok then return served end
      call('DEL', lock)
    end
    acquires = 1
  else
    local found = call('MGET', lock, fence, waiting)
    local mark, closing = found[2], token .. ':' .. token
    if found[1] == value and mark and byte(mark, size + 1) == colon and mark <= closing
      and (not found[3] or call('EXISTS', prefix .. '${WAITERS}' .. key) == 0) then
      if found[3] then call('DEL', lock, reserved) else call('DEL', lock) end
      try('SET', fence, closing, 'KEEPTTL')
      return 1
    end
    releases = 1
  end
  odd, oddCount, requests = { 1 }, 1, '[]'
  argv = { requests, '0', releases, acquires, prefix, argv[3], argv[4], '1', key, value, ttl, '1', known }
end`;

/**
 * `ARGV` of several entries, from the second on: how many entries extend, release and acquire, the prefix, the process, whether
 * votes check the guard, and the number of runs; then the keys of all entries, then their values. Each run gives the detail of the
 * next entries, up to the given one: the ttl in ms, or for a release the queueId of the requester. Most entries of a batch have the
 * same. Last, if there are waiters among the requesters, come their texts.
 */
export const SERVE_ENTRIES = `${SERVE_ALONE}
if oddCount == 0 and #argv > 2 then extends, releases, acquires = tonumber(argv[2]), tonumber(argv[3]), tonumber(argv[4]) end
local entries = extends + releases + acquires
if oddCount == 0 and entries > 0 then
  local call, try, sub, byte = redis.call, redis.pcall, string.sub, string.byte
  local prefix, values, run = argv[5], ${HEAD} + entries, ${HEAD} + 2 * entries - 1
  local texts, detail, last = run + 1 + 2 * argv[${HEAD}], nil, 0
  local fencePrefix, reservedPrefix, waitersPrefix = prefix .. '@fence:', prefix .. '${RESERVED}', prefix .. '${WAITERS}'
  local ours, size, colon = extends + releases, ${TOKEN_DIGITS}, byte(':')
  local votes, longest, hasTexts = true, math.huge, #argv > texts + 1
  if argv[7] == '1' and entries > releases then
    local guard = try('GET', prefix .. '@node')
    if type(guard) ~= 'string' then guard = false end${READ_GUARD}
  end
  -- Usually no key has waiters: then nothing is looked up for each key.
  local hasWaiters = call('EXISTS', prefix .. '${WAITING}') == 1
  local locks, fences, beside, lists, others = {}, {}, {}, {}, {}
  for i = 1, entries do
    local key = argv[${HEAD} + i]
    locks[i], fences[i] = prefix .. key, fencePrefix .. key
    if hasWaiters and i > extends then
      local name = (i > ours and reservedPrefix or waitersPrefix) .. key
      beside[i], others[#others + 1] = name, name
      if i > ours and hasTexts and argv[texts + i] ~= '' then
        lists[i] = waitersPrefix .. key
        others[#others + 1] = lists[i]
      end
    end
  end
  local alone = #others == 0 or call('EXISTS', unpack(others)) == 0
  local stored = ours > 0 and call('MGET', unpack(locks, 1, ours)) or {}
  local marks = ours > 0 and call('MGET', unpack(fences, 1, ours)) or {}
  -- A mark is '<token>:<closed>', and compared as it is: that of a smaller token is smaller. One that MGET does not show may still be there, as something else.
  local freed, freedCount = {}, 0
  -- Keys with an odd entry or a release: a later entry on the same key must see its effect.
  local before = {}
  for i = 1, ours do
    local value, mark = argv[values + i], marks[i]
    local token = sub(value, 1, size)
    local key = argv[${HEAD} + i]
    local served = stored[i] == value and not before[key]
    if i > last then${NEXT_RUN}
    end
    if i <= extends then
      local ttl = tonumber(detail)
      served = served and votes and ttl <= longest and mark == token .. ':' .. string.format('%.0f', tonumber(token) - 1)
      if served then
        if call('PTTL', locks[i]) < ttl then call('PEXPIRE', locks[i], ttl) end
        call('PEXPIRE', fences[i], '${RETENTION}')
      end
    else
      local closing = token .. ':' .. token
      served = served and (alone or call('EXISTS', beside[i]) == 0) and mark and byte(mark, size + 1) == colon and mark <= closing
      if served then
        freedCount = freedCount + 1
        freed[freedCount] = locks[i]
        if hasWaiters then
          freedCount = freedCount + 1
          freed[freedCount] = reservedPrefix .. key
        end
        marks[i], before[key] = closing, true
      end
    end
    if not served then
      oddCount = oddCount + 1
      odd[oddCount], marks[i], before[key] = i, false, true
    end
  end
  -- The keys first: a full server refuses the marks, and must still free them.
  if freedCount > 0 then call('DEL', unpack(freed)) end
  for i = extends + 1, ours do
    if marks[i] then try('SET', fences[i], marks[i], 'KEEPTTL') end
  end
  local fits
  marks = acquires > 0 and call('MGET', unpack(fences, ours + 1, entries)) or {}
  for i = ours + 1, entries do
    local key, value, mark, granted = argv[${HEAD} + i], argv[values + i], marks[i - ours], nil
    local token = sub(value, 1, size)
    if i > last then${NEXT_RUN}
      fits = votes and tonumber(detail) <= longest
    end
    if fits and not before[key]
      and (alone or call('EXISTS', beside[i], lists[i] or beside[i]) == 0) then
      local closed
      if not mark then closed = call('EXISTS', fences[i]) == 0 and ':0' or nil
      elseif byte(mark, size + 1) == colon and mark < token then closed = sub(mark, size + 1) end
      granted = closed and try('SET', locks[i], value, 'NX', 'PX', detail)
      if granted and granted.ok then
        granted = try('SET', fences[i], token .. closed, 'PX', '${RETENTION}')
        if not granted.ok then call('DEL', locks[i]) end
      end
    end
    if not (granted and granted.ok) then
      oddCount = oddCount + 1
      odd[oddCount], before[key] = i, true
    end
  end
  if oddCount == 0 and requests == '[]' then return served end
end`;

/** The odd entries, by the operations of the general part: pairs of an index and a reply. */
export const EXECUTE_ODD = `
local oddReplies = {}
for n = 1, oddCount do
  local i = odd[n]
  local key, value, at = argv[${HEAD} + i], argv[${HEAD} + entries + i], ${HEAD} + 2 * entries + 1
  while tonumber(argv[at + 1]) < i do at = at + 2 end
  local texts, text = ${HEAD} + 2 * entries + 2 * argv[${HEAD}], ''
  if #argv > texts + 1 then text = argv[texts + i] end
  local prefix, process, guarded, detail = argv[5], argv[6], argv[7], argv[at]
  local owner, token = holderOf(value)
  local lock, fence = prefix .. key, prefix .. '@fence:' .. key
  local reply
  if text ~= '' then
    local request = cjson.decode(text)
    reply = run(request[1], request[2], request[3])
  elseif i <= extends then
    local below = string.format('%.0f', tonumber(token) - 1)
    reply = run('extend', { lock, fence, prefix .. '@node' }, { value, token, detail, below, guarded })
  elseif i <= extends + releases then
    reply = run('release', { lock, fence }, { owner, token, '1', '0', prefix, '', '0', process, detail, '' })
  else
    reply = run('acquire', { lock, fence, prefix .. '@node' }, { value, token, detail, guarded, prefix, '' })
  end
  oddReplies[2 * n - 1], oddReplies[2 * n] = i, reply
end`;
