import type { Operation } from "../redis/operation.ts";
import { type Names, parseStoredLock, RETENTION, type StoredLock } from "./stored.ts";

/** Who asks, and for what. */
export interface Claim {
  readonly names: Names;
  /** Sorted, without duplicates: every client asks in the same order. */
  readonly keys: readonly string[];
  /** New for every acquisition; the credential of extend and release. */
  readonly owner: string;
  readonly token: number;
  /** Text that operators see. */
  readonly holder: string;
  /** False to vote without looking at the master's guard. */
  readonly guarded: boolean;
}

/** Somebody else's hold on one key of one master. */
export interface KeyHolder extends StoredLock {
  readonly key: string;
  /** Milliseconds to its expiry; -1 when it has none. */
  readonly expiresIn: number;
  /** True when this holder has extended: it did win a quorum. */
  readonly confirmed: boolean;
}

/** What a master says to {@link acquireOperation}. */
export type AcquireReply =
  | { readonly status: "granted" }
  /** Granted, but the master is in quarantine for so many milliseconds: no vote. */
  | { readonly status: "quarantined"; readonly remaining: number }
  /** The master has no guard, or that of another process: no vote until it is armed. */
  | { readonly status: "unarmed"; readonly guard: "absent" | "other" }
  /** The ttl is longer than the longest that the guard has been told of. */
  | { readonly status: "too long" }
  /** The token is not above the highest one this master knows for the keys. */
  | { readonly status: "stale"; readonly mark: number }
  | { readonly status: "busy"; readonly mark: number; readonly holders: readonly KeyHolder[] };

/**
 * Takes all keys or none. In quarantine it takes them too, marked with a `q`, for the time after. Executed twice it answers the same and does not lengthen the ttl. An owner's larger
 * token replaces its own smaller one.
 *
 * Tokens are compared as numbers (exact below 2^53) and stored as the text they came in: Lua would write a large
 * number as `1.79e+15`.
 */
export const acquireOperation: Operation<Claim & { readonly ttl: number }, AcquireReply> = {
  name: "acquire",
  lua: `
  local value, token, ttl, guarded = argv[1], argv[2], argv[3], argv[4] == '1'
  local names, remaining, longest = (#keys - 1) / 2, 0, nil
  if guarded then
    local armed, _, ready, known = guardOf(keys[#keys])
    longest = known
    if armed ~= server then return { 'UNARMED', armed and 'other' or 'absent' } end
    if tonumber(ttl) > longest then return { 'TOOLONG' } end
    if ready > 0 then remaining = math.max(0, ready - clockOf()) end
  end
  local granted = OK
  if remaining > 0 then value, granted = 'q' .. value, { 'QUARANTINED', remaining } end
  -- Nearly always: one key, which is free, and a token that is new.
  if names == 1 then
    local mark, closed = marksOf(keys[2])
    if above(token, mark) and redis.call('SET', keys[1], value, 'NX', 'PX', ttl) then
      redis.call('SET', keys[2], token .. ':' .. closed, 'PX', ${RETENTION})
      return granted
    end
  end
  local owner = holderOf(value)
  local mark, mine, busy, closed = '0', 0, {}, {}
  for i = 1, names do
    local current = redis.call('GET', keys[2 * i - 1])
    local keyMark, keyClosed = marksOf(keys[2 * i])
    mark, closed[i] = highest(mark, keyMark), keyClosed
    if current then
      local holder, held = holderOf(current)
      if holder ~= owner then
        local confirmed = held and tonumber(keyClosed) >= tonumber(held) - 1
        local rest = redis.call('PTTL', keys[2 * i - 1])
        -- No lock of ours is that long: the clock was set back, and the key would outlive its holder by as much.
        if held and longest and rest > longest then
          rest = longest
          redis.call('PEXPIRE', keys[2 * i - 1], rest)
        end
        busy[#busy + 1] = { i, string.sub(current, 1, 512), rest, confirmed and 1 or 0 }
      elseif held == token then
        mine = mine + 1
      end
    end
  end
  if #busy > 0 then return { 'BUSY', mark, busy } end
  if mine < names and not above(token, mark) then return { 'STALE', mark } end
  -- Written also when everything is ours already: a replica, which has it from its master, must not answer for itself.
  for i = 1, names do redis.call('SET', keys[2 * i], highest(token, mark) .. ':' .. closed[i], 'PX', ${RETENTION}) end
  if mine < names then
    for i = 1, names do redis.call('SET', keys[2 * i - 1], value, 'PX', ttl) end
  end
  return granted`,
  keys: (claim) => [...lockAndFence(claim), claim.names.guard],
  argv: (claim) => [valueOf(claim), claim.token, claim.ttl, claim.guarded ? 1 : 0],
  parse([status, mark, busy], { keys }) {
    if (status === "OK") return { status: "granted" };
    if (status === "QUARANTINED") return { status: "quarantined", remaining: Number(mark) };
    if (status === "UNARMED")
      return { status: "unarmed", guard: mark === "other" ? mark : "absent" };
    if (status === "TOOLONG") return { status: "too long" };
    if (status === "STALE") return { status: "stale", mark: Number(mark) };
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

function parseHolder(entry: unknown, keys: readonly string[]): KeyHolder {
  const [index, value, expiresIn, confirmed] = Array.isArray(entry) ? (entry as unknown[]) : [];
  return {
    key: keys[Number(index) - 1] ?? "",
    expiresIn: Number(expiresIn),
    confirmed: Number(confirmed) === 1,
    ...parseStoredLock(String(value)),
  };
}

/** What a master says to {@link extendOperation}. */
export type ExtendReply =
  | ExtendStatus
  /** A key is missing, and the master has no guard, or that of another process: no vote until it is armed. */
  | { readonly status: "unarmed"; readonly guard: "absent" | "other" };

interface ExtendStatus {
  /**
   * `gone`: a key is missing, and must not be set again; `taken`: a key is somebody else's; `too long`: the ttl is longer
   * than the guard has been told of: in these cases nothing was extended. `quarantined`: the master has lost its memory,
   * and our key with it, or the key was set since: no vote. A key that survived is a vote like any other.
   */
  readonly status: "extended" | "quarantined" | "gone" | "taken" | "too long";
}

/**
 * Prolongs all keys, if all are ours. Never shortens a ttl.
 *
 * A key that is missing is set again (healed) on a master that is armed and out of quarantine, if no later holder can
 * have been there: `closed` is below our token. There "no key" means that every earlier vote has expired or was given
 * back, and from now on nobody else gets this vote. The client counts it only before its deadline: a lock is never
 * revived.
 */
export const extendOperation: Operation<Claim & { readonly ttl: number }, ExtendReply> = {
  name: "extend",
  lua: `
  local value, token, ttl, below, guarded = argv[1], argv[2], argv[3], argv[4], argv[5] == '1'
  local names, quarantined, set, gone, values = (#keys - 1) / 2, false, false, false, {}
  local armed
  if guarded then
    local _, ready, longest
    armed, _, ready, longest = guardOf(keys[#keys])
    if longest and tonumber(ttl) > longest then return { 'TOOLONG' } end
    quarantined = armed ~= server or (ready > 0 and ready > clockOf())
  end
  for i = 1, names do
    values[i] = redis.call('GET', keys[2 * i - 1])
    if values[i] and values[i] ~= value then
      local owner = holderOf(value)
      local holder, held = holderOf(values[i])
      if holder ~= owner or held ~= token then return { 'TAKEN' } end
      if string.sub(values[i], 1, 1) == 'q' then set = true end
    elseif not values[i] then
      local _, closed = marksOf(keys[2 * i])
      if not guarded or not above(token, closed) then return { 'GONE' } end
      gone = true
    end
  end
  if gone and guarded and armed ~= server then return { 'UNARMED', armed and 'other' or 'absent' } end
  if gone and quarantined then return { 'QUARANTINED' } end
  for i = 1, names do
    local rest = redis.call('PTTL', keys[2 * i - 1])
    if not values[i] then
      redis.call('SET', keys[2 * i - 1], value, 'PX', ttl)
    elseif not quarantined and string.sub(values[i], 1, 1) == 'q' then
      redis.call('SET', keys[2 * i - 1], string.sub(values[i], 2), 'PX', math.max(rest, tonumber(ttl)))
    elseif rest < tonumber(ttl) then
      redis.call('PEXPIRE', keys[2 * i - 1], ttl)
    end
    raiseMarks(keys[2 * i], token, below)
  end
  if quarantined and set then return { 'QUARANTINED' } end
  return OK`,
  keys: (claim) => [...lockAndFence(claim), claim.names.guard],
  argv: (claim) => [
    valueOf(claim),
    claim.token,
    claim.ttl,
    claim.token - 1,
    claim.guarded ? 1 : 0,
  ],
  parse([status, guard]) {
    if (status === "OK") return { status: "extended" };
    if (status === "UNARMED")
      return { status: "unarmed", guard: guard === "other" ? guard : "absent" };
    if (status === "QUARANTINED") return { status: "quarantined" };
    if (status === "TOOLONG") return { status: "too long" };
    if (status === "GONE") return { status: "gone" };
    if (status === "TAKEN") return { status: "taken" };
    throw new Error(`an unknown status ${String(status)}`);
  },
};

/**
 * Deletes what is ours, up to our token, and leaves a mark that refuses our own late requests. Deletes first: a
 * full server refuses the mark and must still free the keys.
 */
export const releaseOperation: Operation<
  Claim & { /** False for the rollback of an attempt that never won. */ readonly held: boolean },
  { readonly deleted: number }
> = {
  name: "release",
  owed: true,
  lua: `
  local owner, token, held, retention, names = argv[1], argv[2], argv[3] == '1', argv[4], #keys / 2
  local deleted = 0
  for i = 1, names do
    local current = redis.pcall('GET', keys[2 * i - 1])
    if type(current) == 'string' then
      local holder, theirs = holderOf(current)
      if holder == owner and not above(theirs, token) then
        redis.call('DEL', keys[2 * i - 1])
        deleted = deleted + 1
        redis.pcall('PUBLISH', argv[4 + i], token)
      end
    end
    if held then
      pcall(raiseMarks, keys[2 * i], token, token)
    else
      local mark, closed = marksOf(keys[2 * i])
      redis.pcall('SET', keys[2 * i], highest(mark, token) .. ':' .. closed, 'PX', retention)
    end
  end
  return { 'OK', deleted }`,
  keys: lockAndFence,
  argv: ({ names, keys, owner, token, held }) => [
    owner,
    token,
    held ? 1 : 0,
    RETENTION,
    ...keys.map((key) => names.freed(key)),
  ],
  parse([status, deleted]) {
    if (status === "OK") return { deleted: Number(deleted) };
    throw new Error(`an unknown status ${String(status)}`);
  },
};

/** What a master stores for the claim. */
function valueOf({ token, owner, holder }: Claim): string {
  return `${token}:${owner}:${holder}`;
}

function lockAndFence({ names, keys }: Claim): string[] {
  return keys.flatMap((key) => [names.lock(key), names.fence(key)]);
}
