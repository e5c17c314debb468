import type { Operation } from "../redis/operation.ts";
import { lockAndFence, type TimedIdentity, valueOf } from "./lock-identity.ts";
import { acquireEntry } from "./fast-path.ts";
import { parseStoredLock, RETENTION, type StoredLock } from "./stored-lock.ts";
import { formatRequester } from "./wait-list-hooks.ts";

/** What keeps one key of one master from a requester. */
export interface KeyHolder extends StoredLock {
  readonly key: string;
  /** Milliseconds to its expiry; -1 when it has none. */
  readonly expiresIn: number;
  /** True when the holder has extended: it did win a quorum. */
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
  | { readonly status: "granted" }
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
  local requester, count, remaining, longest = requesterOf(argv, 6), (#keys - 1) / 2, 0, nil
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
        local confirmed = held and tonumber(keyClosed) >= tonumber(held) - 1
        local rest = redis.call('PTTL', lock)
        -- No lock of ours is that long: the clock was set back, and the key would outlive its holder by as much.
        if held and longest and rest > longest then
          rest = longest
          redis.call('PEXPIRE', lock, rest)
        end
        conflicts[#conflicts + 1] = { i, string.sub(current, 1, 512), rest, confirmed and 1 or 0, 0, -1, '' }
        tokens[#conflicts] = held
      elseif held == token then
        mine = mine + 1
      end
    else
      local position, since, rest = reservedFor(prefix, key, requester)
      if position then conflicts[#conflicts + 1] = { i, position, rest, 0, 0, -1, since } end
    end
    local by = requester and replacedBy(prefix, key, requester)
    if by then return { 'REPLACED', by } end
  end
  if #conflicts > 0 then
    local isNew = above(token, mark)
    for n = 1, requester and #conflicts or 0 do
      local conflict = conflicts[n]
      local key = string.sub(keys[2 * conflict[1] - 1], #prefix + 1)
      conflict[5], conflict[6], conflict[8] = onConflict(prefix, key, requester, tokens[n], conflict[3], isNew)
    end
    return { 'BUSY', mark, conflicts }
  end
  if mine < count and not above(token, mark) then return { 'STALE', mark } end
  for i = 1, count do
    local lock = keys[2 * i - 1]
    -- Written also when everything is ours already: a replica, which has it from its master, must not answer for itself.
    redis.call('SET', keys[2 * i], highest(token, mark) .. ':' .. closed[i], 'PX', ${RETENTION})
    if mine < count then redis.call('SET', lock, value, 'PX', ttl) end
    if requester then onGrant(prefix, string.sub(lock, #prefix + 1), requester, token) end
  end
  return granted`,
  keys: (identity) => [...lockAndFence(identity), identity.names.guard],
  argv: (identity) => [
    valueOf(identity),
    identity.token,
    identity.ttl,
    identity.guarded ? 1 : 0,
    identity.names.prefix,
    ...formatRequester(identity.requester),
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
