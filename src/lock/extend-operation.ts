import type { Operation } from "../redis/operation.ts";
import { parseUnarmed, type UnarmedGuard } from "./acquire-operation.ts";
import { lockAndFence, type TimedIdentity, valueOf } from "./lock-identity.ts";
import { extendEntry } from "./fast-path.ts";
import { formatExtender } from "./wait-list-hooks.ts";

/** What a master answers to {@link extendOperation}. */
export type ExtendReply =
  | ExtendStatus
  /** A key is missing, and there is no vote until the master has a sure guard of its own. */
  | { readonly status: "unarmed"; readonly guard: UnarmedGuard };

interface ExtendStatus {
  /**
   * `gone`: a key is missing, and must not be set again. `taken`: a key has another holder. `too long`: not all masters know of
   * so long a ttl. In these cases nothing was extended. `quarantined`: the master has lost its memory, and our key with it; the key is
   * only provisional: no vote. A key that survived is a vote like any other.
   */
  readonly status: "extended" | "quarantined" | "gone" | "taken" | "too long";
}

/**
 * Extends all keys, if all are ours. Never shortens a ttl.
 *
 * A missing key is set again (healed) on a master that is sure and out of quarantine, if no later holder can have been there:
 * `closed` is below our token. There a missing key means that every earlier vote has expired or was released, and from now on
 * no other client gets this vote. The client counts it only before its deadline: a lock is never revived.
 *
 * In quarantine the key is set provisionally: that is no vote yet, and keeps others from taking the key before the first extend after
 * the quarantine. The provisional key of another attempt is no lock either: one with a lower token gives way.
 */
export const extendOperation: Operation<TimedIdentity, ExtendReply> = {
  name: "extend",
  prompt: true,
  lua: `
  local value, token, ttl, below, guarded = argv[1], argv[2], argv[3], argv[4], argv[5] == '1'
  local limits, prefix, position = argv[6] and argv[6] ~= '' and cjson.decode(argv[6]), argv[7], argv[8]
  local names, quarantined, set, gone, values = (#keys - 1) / 2, false, false, false, {}
  local why
  if guarded then
    local guard = guardOf(keys[#keys])
    if guard.server and tonumber(ttl) > guard.agreed then return { 'TOOLONG' } end
    why = unarmed(guard)
    quarantined = why or quarantineOf(guard) > 0
  end
  for i = 1, names do
    values[i] = redis.call('GET', keys[2 * i - 1])
    if values[i] and values[i] ~= value then
      local owner = holderOf(value)
      local holder, held = holderOf(values[i])
      local isProvisional = held and string.sub(values[i], 1, 1) == 'q'
      if holder == owner and held == token then
        if isProvisional then set = true end
      elseif not isProvisional then return { 'TAKEN' }
      elseif not guarded or above(held, token) then return { 'QUARANTINED' }
      else values[i] = false
      end
    end
    if not values[i] then
      local _, closed = marksOf(keys[2 * i])
      if not guarded or not above(token, closed) then return { 'GONE' } end
      gone = true
    end
  end
  if gone and why then return { 'UNARMED', why } end
  for i = 1, names do
    local rest = redis.call('PTTL', keys[2 * i - 1])
    if not values[i] then
      redis.call('SET', keys[2 * i - 1], (quarantined and 'q' or '') .. value, 'PX', ttl)
    elseif not quarantined and string.sub(values[i], 1, 1) == 'q' then
      redis.call('SET', keys[2 * i - 1], string.sub(values[i], 2), 'PX', math.max(rest, tonumber(ttl)))
    elseif rest < tonumber(ttl) then
      redis.call('PEXPIRE', keys[2 * i - 1], ttl)
    end
    raiseMarks(keys[2 * i], token, below)
    local key = prefix and string.sub(keys[2 * i - 1], #prefix + 1)
    if position then onExtend(prefix, key, token, position) end
    if limits and limits[i] > 1 then noteLimit(prefix, key, limits[i]) end
  end
  if quarantined and (set or gone) then return { 'QUARANTINED' } end
  return 'OK'`,
  keys: (identity) => [...lockAndFence(identity), identity.names.guard],
  argv: (identity) => [
    valueOf(identity),
    identity.token,
    identity.ttl,
    identity.token - 1,
    identity.guarded ? 1 : 0,
    ...formatExtender(identity),
  ],
  fast: { ...extendEntry, served: () => EXTENDED },
  parse([status, guard]) {
    if (status === "OK") return EXTENDED;
    if (status === "UNARMED") return { status: "unarmed", guard: parseUnarmed(guard) };
    if (status === "QUARANTINED") return { status: "quarantined" };
    if (status === "TOOLONG") return { status: "too long" };
    if (status === "GONE") return { status: "gone" };
    if (status === "TAKEN") return { status: "taken" };
    throw new Error(`an unknown status ${String(status)}`);
  },
};

const EXTENDED: ExtendReply = { status: "extended" };
