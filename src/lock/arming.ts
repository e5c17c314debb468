import type { Operation } from "../redis/operation.ts";
import { NEEDED, type Names } from "./stored.ts";

/** What a client tells a master's guard. */
export interface Arming {
  readonly names: Names;
  /** Milliseconds for which a master that lost its memory gives no vote. */
  readonly quarantine: number;
  /** The longest ttl that the client may ask for, or knows others to. */
  readonly longestTtl: number;
  /** True when the whole set of masters is known to be new: there is nothing it could have forgotten. */
  readonly trust: boolean;
}

/** What a master says to {@link armOperation}. */
export interface ArmReply {
  /** Milliseconds of quarantine to come; 0 when it votes. */
  readonly remaining: number;
  /** The longest ttl the guard knows of. */
  readonly longestTtl: number;
}

/**
 * Arms the guard. A guard of another process, or none, means that the master may have forgotten locks: from now on
 * it is in quarantine, unless the whole set is new. A longer ttl that becomes known in between prolongs the quarantine
 * that counts from the same start. The longest ttl comes down again when nobody has named it for {@link NEEDED}.
 */
export const armOperation: Operation<Arming, ArmReply> = {
  name: "arm",
  lua: `
  local quarantine, ttl, trust, keep = tonumber(argv[1]), tonumber(argv[2]), argv[3] == '1', tonumber(argv[4])
  local now = clockOf()
  local guarded, armed, ready, longest, needed = guardOf(keys[1])
  if guarded ~= server then
    if guarded or not trust then armed, ready = now, now + quarantine else armed, ready = 0, 0 end
  elseif armed > 0 then
    -- The clock may have been set back to before the arming: the quarantine then begins now.
    if armed > now then armed, ready = now, now + ready - armed end
    ready = math.max(ready, armed + quarantine)
  end
  if not longest or ttl >= longest or now > needed then longest, needed = ttl, now + keep end
  guard = nil
  redis.call('SET', keys[1], string.format('%s:%.0f:%.0f:%.0f:%.0f', server, armed, ready, longest, needed))
  return { 'OK', math.max(0, ready - now), longest }`,
  keys: ({ names }) => [names.guard],
  argv: ({ quarantine, longestTtl, trust }) => [quarantine, longestTtl, trust ? 1 : 0, NEEDED],
  parse([status, remaining, longestTtl]) {
    if (status === "OK") return { remaining: Number(remaining), longestTtl: Number(longestTtl) };
    throw new Error(`an unknown status ${String(status)}`);
  },
};
