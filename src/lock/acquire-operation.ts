import { listOf, type Operation } from "../redis/operation.ts";
import { lockAndFence, type LockIdentity, type TimedIdentity, valueOf } from "./lock-identity.ts";
import { numberOfSlot } from "./slots.ts";
import { acquireEntry } from "./fast-path.ts";
import { parseStoredLock, RETENTION, type StoredLock } from "./stored-lock.ts";
import { formatRequester } from "./wait-list-hooks.ts";

/** What keeps one key of one master from a requester. */
export interface KeyHolder extends StoredLock {
  readonly key: string;
  /** The slot that was asked for. */
  readonly slot: number;
  /** The slots of a key with a limit that the requester could have on this master; empty for others. */
  readonly free: readonly number[];
  /** Milliseconds to its expiry; -1 when it has none. */
  readonly expiresIn: number;
  /** True when the holder has extended, or keeps the key after its end: it did win a quorum. */
  readonly confirmed: boolean;
  /** True when the key is free and reserved: `id` is the position of the waiter, `token` that of the reservation. */
  readonly reservation: boolean;
  /** How many waiters of its own queue are before a requester near the front; else how many waiters are before it. */
  readonly ahead: number;
  /** How many others wait; -1 when the requester is not in the wait list. */
  readonly waiting: number;
  /** The position of the holder, when the requester is replaceable and earlier; else absent. */
  readonly later?: string;
}

/** Why a guard gives no vote: it is absent, it names another server, or it does not know the longest ttl yet. */
export type UnarmedGuard = "absent" | "other" | "unsure";

/** What a master answers to {@link acquireOperation}. */
export type AcquireReply =
  | {
      readonly status: "granted";
      /** A key that other clients use with another limit. */
      readonly differing?: { readonly key: string; readonly limit: number };
    }
  /** Granted, but the master is in quarantine for so many milliseconds: no vote. */
  | { readonly status: "quarantined"; readonly remaining: number }
  /** No vote until the master has a sure guard of its own. */
  | { readonly status: "unarmed"; readonly guard: UnarmedGuard }
  /** Not all masters know of so long a ttl. */
  | { readonly status: "too long" }
  /** The token is not above the highest one that the master knows for the keys. */
  | { readonly status: "stale"; readonly mark: number }
  /** A later job that waits, or has succeeded, replaces the requester. */
  | { readonly status: "replaced"; readonly by: string }
  | { readonly status: "busy"; readonly mark: number; readonly holders: readonly KeyHolder[] };

/**
 * Takes all keys or none. In quarantine it takes them too, marked with a `q`, for the time after. Executed twice it
 * answers the same and does not lengthen the ttl. An owner's larger token replaces its own smaller one.
 *
 * Of a key with a limit, one slot is asked for. When it is taken, the answer names the slots that are free for the requester, and
 * the requester joins the wait list only where there is none.
 *
 * A free key that is reserved for another position counts as held. The reservation ends with the release, so that an attempt that
 * is rolled back still has it.
 *
 * Tokens are compared as numbers (exact below 2^53) and stored as the text they came in: Lua would write a large
 * number as `1.79e+15`.
 */
export const acquireOperation: Operation<TimedIdentity, AcquireReply> = {
  name: "acquire",
  lua: `
  local value, token, ttl, guarded, prefix = argv[1], argv[2], argv[3], argv[4] == '1', argv[5]
  local limits = argv[6] ~= '' and cjson.decode(argv[6])
  local count, remaining, longest = (#keys - 1) / 2, 0, nil
  local requester = requesterOf(argv, 7, count)
  if guarded then
    local guard = guardOf(keys[#keys])
    local why = unarmed(guard)
    if why then return { 'UNARMED', why } end
    if tonumber(ttl) > guard.agreed then return { 'TOOLONG' } end
    longest = guard.longest
    remaining = quarantineOf(guard)
  end
  local granted = 'OK'
  if remaining > 0 then value, granted = 'q' .. value, { 'QUARANTINED', remaining } end
  local owner = holderOf(value)
  local mark, mine, conflicts, tokens, closed = '0', 0, {}, {}, {}
  for i = 1, count do
    local lock = keys[2 * i - 1]
    local key, current = string.sub(lock, #prefix + 1), redis.call('GET', lock)
    local keyMark, keyClosed = marksOf(keys[2 * i])
    mark, closed[i] = highest(mark, keyMark), keyClosed
    if current then
      local holder, held = holderOf(current)
      if holder ~= owner then
        -- An extend closes the token below; a release that keeps the key, its own. A higher one ended a mere vote.
        local beyond = held and tonumber(keyClosed) - tonumber(held)
        local confirmed = beyond == -1 or beyond == 0
        local rest = redis.call('PTTL', lock)
        -- No lock of ours is that long: the clock was set back, and the key would outlive its holder by as much.
        if held and longest and rest > longest then
          rest = longest
          redis.call('PEXPIRE', lock, rest)
        end
        conflicts[#conflicts + 1] = { i, string.sub(current, 1, 512), rest, confirmed and 1 or 0, 0, -1, '', '' }
        tokens[#conflicts] = held
      elseif held == token then
        mine = mine + 1
      end
    else
      local position, since, rest = reservedFor(prefix, key, requester)
      if position then conflicts[#conflicts + 1] = { i, position, rest, 0, 0, -1, since, '' } end
    end
    local by = requester and replacedBy(prefix, key, requester)
    if by then return { 'REPLACED', by } end
  end
  if #conflicts > 0 then
    local isNew = above(token, mark)
    for n = 1, (requester or limits) and #conflicts or 0 do
      local conflict = conflicts[n]
      local key, limit = string.sub(keys[2 * conflict[1] - 1], #prefix + 1), limits and limits[conflict[1]] or 1
      if limit > 1 then conflict[8] = freeSlots(prefix, key, limit, requester) end
      if requester then
        local joins = isNew and conflict[8] == ''
        conflict[5], conflict[6], conflict[9] = onConflict(prefix, key, requester, tokens[n], conflict[3], joins, limit, token)
      end
    end
    return { 'BUSY', mark, conflicts }
  end
  if mine < count and not above(token, mark) then return { 'STALE', mark } end
  for i = 1, count do
    local lock = keys[2 * i - 1]
    -- Written also when everything is ours already: a replica, which has it from its master, must not answer for itself.
    redis.call('SET', keys[2 * i], highest(token, mark) .. ':' .. closed[i], 'PX', ${RETENTION})
    if mine < count then redis.call('SET', lock, value, 'PX', ttl) end
    local key, limit = string.sub(lock, #prefix + 1), limits and limits[i] or 1
    if requester then onGrant(prefix, key, requester, token, limit) end
    local other = limit > 1 and otherLimit(prefix, key, limit)
    if other and granted == 'OK' then granted = { 'OK', other, i } end
  end
  return granted`,
  keys: (identity) => [...lockAndFence(identity), identity.names.guard],
  argv: (identity) => [
    valueOf(identity),
    identity.token,
    identity.ttl,
    identity.guarded ? 1 : 0,
    identity.names.prefix,
    identity.limits === undefined ? "" : JSON.stringify(identity.limits),
    ...formatRequester(identity.requester),
  ],
  fast: { ...acquireEntry, served: () => GRANTED },
  parse([status, mark, busy], identity) {
    if (status === "OK") return parseGranted(mark, busy, identity);
    if (status === "QUARANTINED") return { status: "quarantined", remaining: Number(mark) };
    if (status === "UNARMED") return { status: "unarmed", guard: parseUnarmed(mark) };
    if (status === "TOOLONG") return { status: "too long" };
    if (status === "STALE") return { status: "stale", mark: Number(mark) };
    if (status === "REPLACED") return { status: "replaced", by: String(mark) };
    if (status === "BUSY" && Array.isArray(busy)) {
      return {
        status: "busy",
        mark: Number(mark),
        holders: busy.map((entry) => parseHolder(entry, identity)),
      };
    }
    throw new Error(`an unknown status ${String(status)}`);
  },
};

const GRANTED: AcquireReply = { status: "granted" };

/** Reads why a guard gives no vote. */
export function parseUnarmed(raw: unknown): UnarmedGuard {
  return raw === "other" || raw === "unsure" ? raw : "absent";
}

function parseGranted(limit: unknown, index: unknown, { keys }: LockIdentity): AcquireReply {
  if (limit === undefined) return GRANTED;
  const key = keys[Number(index) - 1] ?? "";
  return { status: "granted", differing: { key, limit: Number(limit) } };
}

const NONE: readonly number[] = [];

function parseHolder(entry: unknown, { keys, slots }: LockIdentity): KeyHolder {
  const [index, value, expiresIn, confirmed, ahead, waiting, since = "", free = "", later] =
    listOf(entry);
  return {
    key: keys[Number(index) - 1] ?? "",
    slot: numberOfSlot(slots[Number(index) - 1] ?? ""),
    free: free === "" ? NONE : String(free).split(",").map(Number),
    expiresIn: Number(expiresIn),
    confirmed: Number(confirmed) === 1,
    ahead: Number(ahead),
    waiting: Number(waiting),
    ...(typeof later === "string" ? { later } : {}),
    ...storedIn(String(value), String(since)),
  };
}

/** What is stored in a slot: a lock, or since `since` a reservation, which is empty for a lock. */
export function storedIn(
  value: string,
  since: string,
): StoredLock & Pick<KeyHolder, "reservation"> {
  if (since === "") return { reservation: false, ...parseStoredLock(value) };
  return { reservation: true, id: value, token: Number(since), text: undefined, kept: false };
}
