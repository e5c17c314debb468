/**
 * What a lock master stores, for a prefix P and a key K:
 *
 * - `P K`: the lock, `<fencing token>:<owner>:<holder text>`, with a ttl; before the text stands {@link KEPT} once the
 *   holder is done and the key is only kept for a while. Any other content is somebody else's lock.
 * - `P@node`: the guard, `<server>:<state>:<armed at>:<ready at>:<longest ttl>:<agreed ttl>`, times by the master's clock;
 *   see `guard.ts`.
 * - `P@waiters:K`: the line of those who wait for the key, a sorted set: see `line-script.ts`.
 * - `P@waiter:K`: what is known about each of them, a hash.
 * - `P@due:Q`: the keys that parked jobs of the queue Q wait for, by the time at which a worker of Q must check them: see
 *   `due-keys.ts`.
 * - `P@queues`: for each queue, when it was last seen to take up a job, or until when it is passed over.
 * - `P@turn:K`: `<token>:<place>`, whose turn it is: as long as it lives nobody else is granted the free key.
 * - `P@request:K`: what the holder is asked, see `cancelling.ts`.
 * - `P@newest:K`: a hash, for jobs that a later one replaces: `done`, the place of the latest that has succeeded; for those, and
 *   for jobs in strict order, `held`, `<token>:<place>` of the last that was granted the key. Kept as long as the marks.
 * - `P@fence:K`: `<mark>:<closed>`. `mark` is the highest token accepted or given back here: a later or repeated
 *   request with a token that is not higher is refused. No holder with a token up to `closed` can be alive.
 *
 * A key never begins with `@`, so the lock and the rest can not meet.
 */
export interface Names {
  readonly prefix: string;
  lock(key: string): string;
  fence(key: string): string;
  /** The guard of the master itself. */
  readonly guard: string;
  /** The line of those who wait for the key. */
  waiters(key: string): string;
  /** What is known about each of them. */
  waiter(key: string): string;
  /** Whose turn it is. */
  reservation(key: string): string;
  /** The channel on which a process hears that the turn is one of its own waiters': a JSON list, see `line-script.ts`. */
  wake(process: string): string;
  /** The keys that parked jobs of a queue wait for. */
  due(queue: string): string;
  /** What is known of queues. */
  readonly queues: string;
  /** What the holder is asked. */
  request(key: string): string;
  /** The latest of the jobs that replace earlier ones. */
  newest(key: string): string;
  /** The channel on which holders are asked to give way. */
  readonly cancelled: string;
}

/** What stands between the prefix and the key in the name of a reservation, and of a wait list. */
export const RESERVED = "@reserved:";
export const WAITERS = "@waiters:";

/** Names what is stored under a prefix. */
export function namesUnder(prefix: string): Names {
  return {
    prefix,
    lock: (key) => `${prefix}${key}`,
    fence: (key) => `${prefix}@fence:${key}`,
    guard: `${prefix}@node`,
    waiters: (key) => `${prefix}${WAITERS}${key}`,
    waiter: (key) => `${prefix}@waiter:${key}`,
    reservation: (key) => `${prefix}${RESERVED}${key}`,
    wake: (process) => `${prefix}@wake:${process}`,
    due: (queue) => `${prefix}@due:${queue}`,
    queues: `${prefix}@queues`,
    request: (key) => `${prefix}@request:${key}`,
    newest: (key) => `${prefix}@newest:${key}`,
    cancelled: `${prefix}@cancelled`,
  };
}

/**
 * Milliseconds that a master remembers the marks of a key after its last use. It must exceed the longest quarantine
 * of a restarted master plus the allowed difference of the clients' clocks.
 * @see design: fencing tokens stay ordered over the expiry of marks while clocks differ by less than this.
 */
export const RETENTION = 3_600_000;

/** The longest ttl, in ms, that a lock can have: well below the time for which masters remember marks. */
export const LONGEST_TTL = RETENTION / 2;

/** Longest holder text that is stored, in characters; more is cut. */
export const LONGEST_HOLDER_TEXT = 256;

/** Before the text of a holder that is done: for people alone, no script decides by it. */
export const KEPT = "[kept] ";

/** The value of `P K`, taken apart; a value that is none of ours has only `raw`. */
export interface StoredLock {
  /** Tells holders apart: the owner, or the whole value when it is none of ours. */
  readonly id: string;
  readonly token: number | undefined;
  readonly text: string | undefined;
  /** True when the holder is done, and the key only kept until it expires. */
  readonly kept: boolean;
  /** True when the master accepted it in quarantine: it is no vote, and perhaps nobody's lock; else absent. */
  readonly provisional?: true;
}

/** The form of our own values; a `q` in front says that the master was in quarantine when it accepted. */
const OUR_VALUE = /^q?(\d{1,16}):([\w-]{1,64}):([^]*)$/;

/** Reads the value of `P K`. */
export function parseStoredLock(value: string): StoredLock {
  const parts = OUR_VALUE.exec(value);
  if (parts === null) return { id: value, token: undefined, text: undefined, kept: false };
  const [, token = "", owner = "", stored = ""] = parts;
  const kept = stored.startsWith(KEPT);
  const text = kept ? stored.slice(KEPT.length) : stored;
  const lock = { id: owner, token: Number(token), text: text === "" ? undefined : text, kept };
  return value.startsWith("q") ? { ...lock, provisional: true } : lock;
}

/**
 * Lua twin of {@link parseStoredLock} and of the fence, shared by all operations. What is read of the master itself, the
 * guard and the clock, is read once for all operations of a script call.
 */
export const PRELUDE = `
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
  -- A full server refuses: what is stored counts.
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
-- Of two tokens in digits; turning them into numbers costs several times as much.
local function above(a, b)
  if #a ~= #b then return #a > #b end
  return a > b
end
local function highest(a, b)
  if above(b, a) then return b end
  return a
end
-- Raises the marks of a key to at least these. They nearly always grow: what was there is looked at afterwards.
local function raiseMarks(key, mark, closed)
  local old = redis.call('SET', key, mark .. ':' .. closed, 'PX', ${RETENTION}, 'GET')
  if not old then return end
  local oldMark, oldClosed = parseMarks(old)
  if above(oldMark, mark) or above(oldClosed, closed) then
    redis.call('SET', key, highest(mark, oldMark) .. ':' .. highest(closed, oldClosed), 'PX', ${RETENTION})
  end
end`;
