import type { Operation } from "../redis/operation.ts";
import { type Requester, type LockIdentity, valueOf } from "./lock-identity.ts";
import { acquireEntry } from "./fast-path.ts";
import { RESERVATION } from "./wait-list-script.ts";
import { parseStoredLock, RETENTION, type StoredLock } from "./stored-lock.ts";

/** Somebody else's hold on one key of one master. */
export interface KeyHolder extends StoredLock {
  readonly key: string;
  /** Milliseconds to its expiry; -1 when it has none. */
  readonly expiresIn: number;
  /** True when this holder has extended: it did win a quorum. */
  readonly confirmed: boolean;
  /** True when the key is free, and kept for the next in line: `id` is its place, `token` the turn's. */
  readonly reservation: boolean;
  /** How many of its own queue wait before the caller, if it is among the first in line; else how many wait. */
  readonly ahead: number;
  /** How many others wait; -1 when the caller is not in line. */
  readonly waiting: number;
  /** The place of the holder, where it is later than that of a caller that a later one replaces; else absent. */
  readonly later?: string;
}

/** Why a guard gives no vote: there is none, it is another server's, or it does not know the longest ttl yet. */
export type UnarmedGuard = "absent" | "other" | "unsure";

/** What a master says to {@link acquireOperation}. */
export type AcquireReply =
  | { readonly status: "granted" }
  /** Granted, but the master is in quarantine for so many milliseconds: no vote. */
  | { readonly status: "quarantined"; readonly remaining: number }
  /** No vote until the master has a guard that is its own and is sure. */
  | { readonly status: "unarmed"; readonly guard: UnarmedGuard }
  /** Not all masters have been told of so long a ttl. */
  | { readonly status: "too long" }
  /** The token is not above the highest one this master knows for the keys. */
  | { readonly status: "stale"; readonly mark: number }
  /** A later one that is in line, or that has succeeded, replaces who asks. */
  | { readonly status: "replaced"; readonly by: string }
  | { readonly status: "busy"; readonly mark: number; readonly holders: readonly KeyHolder[] };

/**
 * Takes all keys or none. In quarantine it takes them too, marked with a `q`, for the time after. Executed twice it
 * answers the same and does not lengthen the ttl. An owner's larger token replaces its own smaller one.
 *
 * A free key that is kept for another place counts as held; for a caller that keeps to the order, so does one with a line whose
 * first comes before it, and those that come before it, but are in no line yet, join. Who gets the keys is no longer in their lines; the turn ends
 * with the release, so that an attempt that is rolled back still has it.
 *
 * Tokens are compared as numbers (exact below 2^53) and stored as the text they came in: Lua would write a large
 * number as `1.79e+15`.
 */
export const acquireOperation: Operation<LockIdentity & { readonly ttl: number }, AcquireReply> = {
  name: "acquire",
  lua: `
  local value, token, ttl, guarded = argv[1], argv[2], argv[3], argv[4] == '1'
  local place, replaceable, priority, detail, prefix = argv[5], argv[6] == '1', argv[7], argv[8], argv[11]
  local strict, step = argv[12] or '', place == '' and 3 or 5
  local names, remaining, longest = (#keys - 1) / step, 0, nil
  if guarded then
    local guard = guardOf(keys[#keys])
    local why = unarmed(guard)
    if why then return { 'UNARMED', why } end
    if tonumber(ttl) > guard.agreed then return { 'TOOLONG' } end
    longest = guard.longest
    if guard.ready > 0 then remaining = math.max(0, guard.ready - clockOf()) end
  end
  local granted = 'OK'
  if remaining > 0 then value, granted = 'q' .. value, { 'QUARANTINED', remaining } end
  -- Nearly always: one key, which is free and kept for nobody, without a line, and a token that is new.
  if names == 1 and (place == '' or (not replaceable and strict == '' and redis.call('EXISTS', keys[4]) == 0)) then
    local mark, closed = marksOf(keys[2])
    if above(token, mark) and not turnOf(keys[3]) and redis.call('SET', keys[1], value, 'NX', 'PX', ttl) then
      redis.call('SET', keys[2], token .. ':' .. closed, 'PX', ${RETENTION})
      return granted
    end
  end
  local owner = holderOf(value)
  local mark, mine, busy, closed = '0', 0, {}, {}
  for i = 1, names do
    local at = step * (i - 1)
    local current = redis.call('GET', keys[at + 1])
    local newest = (replaceable or strict ~= '') and newestOf(prefix, keys[at + 1])
    local keyMark, keyClosed = marksOf(keys[at + 2])
    mark, closed[i] = highest(mark, keyMark), keyClosed
    if current then
      local holder, held = holderOf(current)
      if holder ~= owner then
        local confirmed = held and tonumber(keyClosed) >= tonumber(held) - 1
        local rest = redis.call('PTTL', keys[at + 1])
        -- No lock of ours is that long: the clock was set back, and the key would outlive its holder by as much.
        if held and longest and rest > longest then
          rest = longest
          redis.call('PEXPIRE', keys[at + 1], rest)
        end
        busy[#busy + 1] = { i, string.sub(current, 1, 512), rest, confirmed and 1 or 0, 0, -1, '', replaceable and laterHolder(newest, held, place) or nil }
      elseif held == token then
        mine = mine + 1
      end
    else
      local theirs, since = turnOf(keys[at + 3])
      if theirs and theirs ~= place then
        busy[#busy + 1] = { i, theirs, redis.call('PTTL', keys[at + 3]), 0, 0, -1, since }
      elseif strict ~= '' and not theirs then
        local first = firstBefore(keys[at + 4], lastHolder(newest), place, tonumber(strict), argv, 14)
        if first and first ~= place then busy[#busy + 1] = { i, first, ${RESERVATION}, 0, 0, -1, '0' } end
      end
    end
    if replaceable then
      local latest, done = redis.call('HGET', keys[at + 5], '^') or '', redis.call('HGET', newest, 'done') or ''
      if done > latest then latest = done end
      if latest > place then return { 'REPLACED', latest } end
    end
  end
  if #busy > 0 then
    -- A request that comes after its own rollback or release leaves nobody in line.
    for i = 1, detail ~= '' and above(token, mark) and #busy or 0 do
      local at = step * (busy[i][1] - 1)
      local known = redis.call('HGET', keys[at + 5], place) or ''
      -- A request that is late does not undo what came after it; one that the holder replaces waits for nothing.
      if not busy[i][8] and known ~= 'p' .. string.sub(detail, 2) and runOf(known) <= runOf(detail) then
        join(prefix, string.sub(keys[at + 1], #prefix + 1), keys[at + 4], keys[at + 5], place, priority, detail, busy[i][3])
        if argv[10] == '1' then replaceUpTo(keys[at + 5], place) end
      end
    end
    for i = 1, strict ~= '' and above(token, mark) and #busy or 0 do
      local at = step * (busy[i][1] - 1)
      local last = lastHolder(newestOf(prefix, keys[at + 1]))
      for j = 14, #argv, 2 do
        if argv[j + 1] ~= last and not redis.call('HGET', keys[at + 5], argv[j + 1]) then
          join(prefix, string.sub(keys[at + 1], #prefix + 1), keys[at + 4], keys[at + 5], argv[j + 1], argv[j], argv[13], busy[i][3])
        end
      end
    end
    for i = 1, place ~= '' and #busy or 0 do
      local line = keys[step * (busy[i][1] - 1) + 4]
      busy[i][5] = aheadOf(line, place)
      if redis.call('ZRANK', line, place) then busy[i][6] = redis.call('ZCARD', line) - 1 end
    end
    return { 'BUSY', mark, busy }
  end
  if mine < names and not above(token, mark) then return { 'STALE', mark } end
  for i = 1, names do
    local at = step * (i - 1)
    -- Written also when everything is ours already: a replica, which has it from its master, must not answer for itself.
    redis.call('SET', keys[at + 2], highest(token, mark) .. ':' .. closed[i], 'PX', ${RETENTION})
    if mine < names then redis.call('SET', keys[at + 1], value, 'PX', ttl) end
    if place ~= '' then
      if replaceable and redis.call('HGET', keys[at + 5], '^') == place then redis.call('HDEL', keys[at + 5], '^') end
      if replaceable or strict ~= '' then noteNewest(newestOf(prefix, keys[at + 1]), 'held', token .. ':' .. place) end
      if redis.call('EXISTS', keys[at + 5]) == 1 then hasCome(prefix, place) end
      leaveOnce(keys[at + 4], keys[at + 5], place, tonumber(argv[9]))
    end
  end
  return granted`,
  keys: ({ names, keys, requester }) => [
    ...keys.flatMap((key) => [
      names.lock(key),
      names.fence(key),
      names.reservation(key),
      ...(requester.position === "" ? [] : [names.waiters(key), names.waiter(key)]),
    ]),
    names.guard,
  ],
  argv: (identity) => [
    valueOf(identity),
    identity.token,
    identity.ttl,
    identity.guarded ? 1 : 0,
    identity.requester.position,
    identity.requester.replaceable ? 1 : 0,
    identity.requester.joins?.priority ?? 0,
    identity.requester.joins?.record ?? "",
    identity.requester.run,
    identity.requester.joins?.replaces === true ? 1 : 0,
    identity.names.prefix,
    ...behindOf(identity.requester),
  ],
  fast: { entry: acquireEntry, served: () => GRANTED },
  parse([status, mark, busy], { keys }) {
    if (status === "OK") return GRANTED;
    if (status === "QUARANTINED") return { status: "quarantined", remaining: Number(mark) };
    if (status === "UNARMED") return { status: "unarmed", guard: parseUnarmed(mark) };
    if (status === "TOOLONG") return { status: "too long" };
    if (status === "STALE") return { status: "stale", mark: Number(mark) };
    if (status === "REPLACED") return { status: "replaced", by: String(mark) };
    if (status === "BUSY" && Array.isArray(busy)) {
      return {
        status: "busy",
        mark: Number(mark),
        holders: busy.map((entry) => parseHolder(entry, keys)),
      };
    }
    throw new Error(`an unknown status ${String(status)}`);
  },
};

const GRANTED: AcquireReply = { status: "granted" };

function behindOf({ behind }: Requester): (string | number)[] {
  if (behind === undefined) return [];
  const { priority, record, others } = behind;
  return [priority, record, ...others.flatMap((other) => [other.priority, other.position])];
}

/** Reads why a guard gives no vote. */
export function parseUnarmed(raw: unknown): UnarmedGuard {
  return raw === "other" || raw === "unsure" ? raw : "absent";
}

function parseHolder(entry: unknown, keys: readonly string[]): KeyHolder {
  const [index, value, expiresIn, confirmed, ahead, waiting, since = "", later] = Array.isArray(
    entry,
  )
    ? (entry as unknown[])
    : [];
  const reservation = since !== "";
  return {
    key: keys[Number(index) - 1] ?? "",
    expiresIn: Number(expiresIn),
    confirmed: Number(confirmed) === 1,
    reservation,
    ahead: Number(ahead),
    waiting: Number(waiting),
    ...(typeof later === "string" ? { later } : {}),
    ...(reservation
      ? { id: String(value), token: Number(since), text: undefined, kept: false }
      : parseStoredLock(String(value))),
  };
}
