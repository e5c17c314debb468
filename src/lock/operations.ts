import type { Operation } from "../redis/operation.ts";
import { parseTurn, type TurnReply } from "./lining.ts";
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
  /** Who asks, as lines know it. */
  readonly caller: Caller;
}

/** Who asks for a key, or gives it back, as the lines know it. */
export interface Caller {
  /** The process. */
  readonly process: string;
  /** The home whose waiters the caller can wake without a message; empty for none. */
  readonly home: string;
  /** Its place in the lines of the keys, if it may have one there; else empty. */
  readonly place: string;
  /** True when a later place that replaces it is a reason not to have the keys. */
  readonly replaceable: boolean;
  /** How it joins the lines of keys that are taken, in the same step; `undefined` for one that does not. */
  readonly joins: { readonly priority: number; readonly detail: string } | undefined;
}

/** Somebody else's hold on one key of one master. */
export interface KeyHolder extends StoredLock {
  readonly key: string;
  /** Milliseconds to its expiry; -1 when it has none. */
  readonly expiresIn: number;
  /** True when this holder has extended: it did win a quorum. */
  readonly confirmed: boolean;
  /** True when the key is free, and kept for the next in line: `id` is its place, `token` the turn's. */
  readonly turn: boolean;
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
  /** A later one in line, or one that was, replaces who asks. */
  | { readonly status: "replaced"; readonly by: string }
  | { readonly status: "busy"; readonly mark: number; readonly holders: readonly KeyHolder[] };

/**
 * Takes all keys or none. In quarantine it takes them too, marked with a `q`, for the time after. Executed twice it
 * answers the same and does not lengthen the ttl. An owner's larger token replaces its own smaller one.
 *
 * A free key that is kept for another place counts as held. Who gets the keys is no longer in their lines; the turn ends
 * with the release, so that an attempt that is rolled back still has it.
 *
 * Tokens are compared as numbers (exact below 2^53) and stored as the text they came in: Lua would write a large
 * number as `1.79e+15`.
 */
export const acquireOperation: Operation<Claim & { readonly ttl: number }, AcquireReply> = {
  name: "acquire",
  lua: `
  local value, token, ttl, guarded = argv[1], argv[2], argv[3], argv[4] == '1'
  local place, replaceable, priority, detail = argv[5], argv[6] == '1', argv[7], argv[8]
  local step = place == '' and 3 or 5
  local names, remaining, longest = (#keys - 1) / step, 0, nil
  if guarded then
    local armed, _, ready, known = guardOf(keys[#keys])
    longest = known
    if armed ~= server then return { 'UNARMED', armed and 'other' or 'absent' } end
    if tonumber(ttl) > longest then return { 'TOOLONG' } end
    if ready > 0 then remaining = math.max(0, ready - clockOf()) end
  end
  local granted = OK
  if remaining > 0 then value, granted = 'q' .. value, { 'QUARANTINED', remaining } end
  -- Nearly always: one key, which is free and kept for nobody, and a token that is new.
  if names == 1 and place == '' then
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
        busy[#busy + 1] = { i, string.sub(current, 1, 512), rest, confirmed and 1 or 0 }
      elseif held == token then
        mine = mine + 1
      end
    else
      local theirs, since = turnOf(keys[at + 3])
      if theirs and theirs ~= place then
        busy[#busy + 1] = { i, theirs, redis.call('PTTL', keys[at + 3]), 0, since }
      end
    end
    if replaceable then
      local latest = redis.call('HGET', keys[at + 5], '^')
      if latest and latest > place then return { 'REPLACED', latest } end
    end
  end
  if #busy > 0 then
    -- A request that comes after its own rollback or release leaves nobody in line.
    for i = 1, detail ~= '' and above(token, mark) and #busy or 0 do
      local at = step * (busy[i][1] - 1)
      -- A request that is late does not undo what came after it.
      if redis.call('HGET', keys[at + 5], place) ~= 'p' .. string.sub(detail, 2) then
        join(keys[at + 4], keys[at + 5], place, priority, detail)
      end
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
      hasCome(keys[at + 5], place)
      leave(keys[at + 4], keys[at + 5], place)
    end
  end
  return granted`,
  keys: ({ names, keys, caller }) => [
    ...keys.flatMap((key) => [
      names.lock(key),
      names.fence(key),
      names.turn(key),
      ...(caller.place === "" ? [] : [names.waiters(key), names.waiter(key)]),
    ]),
    names.guard,
  ],
  argv: (claim) => [
    valueOf(claim),
    claim.token,
    claim.ttl,
    claim.guarded ? 1 : 0,
    claim.caller.place,
    claim.caller.replaceable ? 1 : 0,
    claim.caller.joins?.priority ?? 0,
    claim.caller.joins?.detail ?? "",
  ],
  parse([status, mark, busy], { keys }) {
    if (status === "OK") return { status: "granted" };
    if (status === "QUARANTINED") return { status: "quarantined", remaining: Number(mark) };
    if (status === "UNARMED")
      return { status: "unarmed", guard: mark === "other" ? mark : "absent" };
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

function parseHolder(entry: unknown, keys: readonly string[]): KeyHolder {
  const [index, value, expiresIn, confirmed, turn] = Array.isArray(entry)
    ? (entry as unknown[])
    : [];
  return {
    key: keys[Number(index) - 1] ?? "",
    expiresIn: Number(expiresIn),
    confirmed: Number(confirmed) === 1,
    turn: turn !== undefined,
    ...(turn === undefined
      ? parseStoredLock(String(value))
      : { id: String(value), token: Number(turn), text: undefined }),
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
  argv: (claim) => [valueOf(claim), claim.token, claim.ttl, claim.token - 1, claim.guarded ? 1 : 0],
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

/** What is given back, and how. */
export interface Releasing extends Claim {
  /** False for the rollback of an attempt that never won. */
  readonly held: boolean;
  /** Milliseconds for which the keys stay taken, up to the longest ttl; 0 to give them back at once. */
  readonly linger: number;
  /** The homes that do not answer their calls: their waiters are passed over. */
  readonly skipped: readonly string[];
}

/** What a master says to {@link releaseOperation}. */
export interface ReleaseReply {
  readonly deleted: number;
  /** Whose turn it is now, for each key; a rollback gives no turn, and counts who waits. */
  readonly turns: readonly TurnReply[];
}

/**
 * Deletes what is ours, up to our token, gives the turn to the next in line, and leaves a mark that refuses our own late
 * requests. Deletes first: a full server refuses the rest and must still free the keys.
 */
export const releaseOperation: Operation<Releasing, ReleaseReply> = {
  name: "release",
  owed: true,
  lua: `
  local owner, token, held, linger = argv[1], argv[2], argv[3] == '1', tonumber(argv[4])
  local place, process, home = argv[5], argv[6], argv[7]
  local names, deleted, turns, skipped = #keys / 5, 0, {}, {}
  for i = 8 + names, #argv do skipped[argv[i]] = true end
  for i = 1, names do
    local lock, fence, turn, line, details = keys[5 * i - 4], keys[5 * i - 3], keys[5 * i - 2], keys[5 * i - 1], keys[5 * i]
    local current, free = redis.pcall('GET', lock), true
    if type(current) == 'string' then
      local holder, theirs = holderOf(current)
      free = holder == owner and not above(theirs, token)
      if free then
        deleted = deleted + 1
        free = linger == 0
        if not held then redis.call('DEL', lock)
        elseif free then redis.call('DEL', lock, turn)
        else redis.call('PEXPIRE', lock, linger) end
      end
    elseif current then
      free = false
    end
    if held then
      pcall(raiseMarks, fence, token, token)
      if place ~= '' then leave(line, details, place) end
    else
      local mark, closed = marksOf(fence)
      redis.pcall('SET', fence, highest(mark, token) .. ':' .. closed, 'PX', ${RETENTION})
    end
    if not free then
      turns[i] = { 'HELD', redis.call('PTTL', lock), redis.call('ZCARD', line) }
    elseif held then
      local ok, state = pcall(serve, turn, line, details, argv[7 + i], token, process, home, skipped)
      turns[i] = ok and state or { 'NOBODY', 0 }
    else
      turns[i] = { 'NOBODY', redis.call('ZCARD', line) }
    end
  end
  return { 'OK', deleted, turns }`,
  keys: ({ names, keys }) =>
    keys.flatMap((key) => [
      names.lock(key),
      names.fence(key),
      names.turn(key),
      names.waiters(key),
      names.waiter(key),
    ]),
  argv: ({ names, keys, owner, token, held, linger, skipped, caller }) => [
    owner,
    token,
    held ? 1 : 0,
    linger,
    caller.place,
    caller.process,
    caller.home,
    ...keys.map((key) => names.called(key)),
    ...skipped,
  ],
  parse([status, deleted, turns]) {
    if (status !== "OK" || !Array.isArray(turns)) {
      throw new Error(`an unknown status ${String(status)}`);
    }
    return { deleted: Number(deleted), turns: turns.map(parseTurn) };
  },
};

/** What a master stores for the claim. */
function valueOf({ token, owner, holder }: Claim): string {
  return `${token}:${owner}:${holder}`;
}

function lockAndFence({ names, keys }: Claim): string[] {
  return keys.flatMap((key) => [names.lock(key), names.fence(key)]);
}
