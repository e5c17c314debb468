import { composeProgram, type Operation } from "../redis/operation.ts";
import { type Names, parseStoredLock, PRELUDE, RETENTION, type StoredLock } from "./stored.ts";

/** Who asks, and for what. */
export interface Claim {
  readonly names: Names;
  /** Sorted, without duplicates: every client asks in the same order. */
  readonly keys: readonly string[];
  /** New for every acquisition; the credential of extend and release. */
  readonly owner: string;
  readonly token: number;
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
  /** The token is not above the highest one this master knows for the keys. */
  | { readonly status: "stale"; readonly mark: number }
  | { readonly status: "busy"; readonly mark: number; readonly holders: readonly KeyHolder[] };

/**
 * Takes all keys or none. Executed twice it answers the same and does not lengthen the ttl. An owner's larger
 * token replaces its own smaller one.
 *
 * Tokens are compared as numbers (exact below 2^53) and stored as the text they came in: Lua would write a large
 * number as `1.79e+15`.
 */
export const acquireOperation: Operation<
  Claim & { readonly ttl: number; readonly holder: string },
  AcquireReply
> = {
  name: "acquire",
  lua: `
  local owner, token, ttl, retention, text = argv[1], argv[2], argv[3], argv[4], argv[5]
  local mark, mine, busy, closed = '0', 0, {}, {}
  for i = 1, #keys / 2 do
    local current = redis.call('GET', keys[2 * i - 1])
    local keyMark, keyClosed = marksOf(keys[2 * i])
    mark, closed[i] = highest(mark, keyMark), keyClosed
    if current then
      local holder, held = holderOf(current)
      if holder ~= owner then
        local confirmed = held and tonumber(keyClosed) >= tonumber(held) - 1
        busy[#busy + 1] = { i, string.sub(current, 1, 512), redis.call('PTTL', keys[2 * i - 1]), confirmed and 1 or 0 }
      elseif held == token then
        mine = mine + 1
      end
    end
  end
  if #busy > 0 then return { 'BUSY', mark, busy } end
  if mine == #keys / 2 then return { 'OK' } end
  if tonumber(token) <= tonumber(mark) then return { 'STALE', mark } end
  for i = 1, #keys / 2 do redis.call('SET', keys[2 * i], token .. ':' .. closed[i], 'PX', retention) end
  for i = 1, #keys / 2 do redis.call('SET', keys[2 * i - 1], token .. ':' .. owner .. ':' .. text, 'PX', ttl) end
  return { 'OK' }`,
  keys: lockAndFence,
  argv: ({ owner, token, ttl, holder }) => [owner, token, ttl, RETENTION, holder],
  parse([status, mark, busy], { keys }) {
    if (status === "OK") return { status: "granted" };
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
export interface ExtendReply {
  /** `gone`: a key is missing; `taken`: a key is somebody else's. In both cases nothing was extended. */
  readonly status: "extended" | "gone" | "taken";
}

/** Prolongs all keys, if all are ours. Never shortens a ttl, never revives a key. */
export const extendOperation: Operation<Claim & { readonly ttl: number }, ExtendReply> = {
  name: "extend",
  lua: `
  local owner, token, ttl, retention, below = argv[1], argv[2], argv[3], argv[4], argv[5]
  for i = 1, #keys / 2 do
    local current = redis.call('GET', keys[2 * i - 1])
    if not current then return { 'GONE' } end
    local holder, held = holderOf(current)
    if holder ~= owner or held ~= token then return { 'TAKEN' } end
  end
  for i = 1, #keys / 2 do
    if redis.call('PTTL', keys[2 * i - 1]) < tonumber(ttl) then redis.call('PEXPIRE', keys[2 * i - 1], ttl) end
    local mark, closed = marksOf(keys[2 * i])
    redis.call('SET', keys[2 * i], highest(mark, token) .. ':' .. highest(closed, below), 'PX', retention)
  end
  return { 'OK' }`,
  keys: lockAndFence,
  argv: ({ owner, token, ttl }) => [owner, token, ttl, RETENTION, token - 1],
  parse([status]) {
    if (status === "OK") return { status: "extended" };
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
  lua: `
  local owner, token, held, retention, names = argv[1], argv[2], argv[3] == '1', argv[4], #keys / 2
  local deleted = 0
  for i = 1, names do
    local current = redis.pcall('GET', keys[2 * i - 1])
    if type(current) == 'string' then
      local holder, theirs = holderOf(current)
      if holder == owner and tonumber(theirs) <= tonumber(token) then
        redis.call('DEL', keys[2 * i - 1])
        deleted = deleted + 1
        redis.pcall('PUBLISH', argv[4 + i], token)
      end
    end
    local mark, closed = marksOf(keys[2 * i])
    if held then closed = highest(closed, token) end
    redis.pcall('SET', keys[2 * i], highest(mark, token) .. ':' .. closed, 'PX', retention)
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

/** What one master stores about one key. */
export interface ReadReply {
  /** `undefined` when the key is free. */
  readonly holder: (StoredLock & { readonly expiresIn: number }) | undefined;
  /** The Redis type of a value that is not a string, and so no lock at all. */
  readonly foreignType: string | undefined;
  readonly mark: number;
}

/** Looks at one key, changes nothing. */
export const readOperation: Operation<{ readonly names: Names; readonly key: string }, ReadReply> =
  {
    name: "read",
    lua: `
  local mark = marksOf(keys[2])
  local kind = redis.call('TYPE', keys[1]).ok
  local value = kind == 'string' and redis.call('GET', keys[1]) or ''
  return { 'OK', kind, string.sub(value, 1, 512), redis.call('PTTL', keys[1]), mark }`,
    keys: ({ names, key }) => [names.lock(key), names.fence(key)],
    argv: () => [],
    parse([, kind, value, expiresIn, mark]) {
      return {
        holder:
          kind === "string"
            ? { ...parseStoredLock(String(value)), expiresIn: Number(expiresIn) }
            : undefined,
        foreignType: kind === "string" || kind === "none" ? undefined : String(kind),
        mark: Number(mark),
      };
    },
  };

/** All that a lock master executes for us. */
export const lockProgram = composeProgram(PRELUDE, [
  acquireOperation,
  extendOperation,
  releaseOperation,
  readOperation,
]);

function lockAndFence({ names, keys }: Claim): string[] {
  return keys.flatMap((key) => [names.lock(key), names.fence(key)]);
}
