import type { Operation } from "../redis/operation.ts";
import type { Names } from "./stored-lock.ts";

/** What a client sends to the guard of a master. */
export interface Arming {
  readonly names: Names;
  /** Milliseconds for which a master that lost its memory gives no vote, for locks of `longestTtl`. */
  readonly quarantine: number;
  /** The longest ttl that the client may ask for, or knows others to. */
  readonly longestTtl: number;
  /** Milliseconds after which every lock that a master may have forgotten is over, also if no other master knows how long it was. */
  readonly patience: number;
}

/** What the guard of a master answers. */
export interface GuardState {
  /**
   * `sure`: it knows the longest ttl of all locks that the master may have forgotten, and of all that there can be. Before that it is
   * `new`, where there was no guard, or `forgot`, where there was the guard of another server.
   */
  readonly state: "sure" | "new" | "forgot";
  /** When it was set, by the master's clock: distinguishes it from the guards before and after a loss of memory. */
  readonly armedAt: number;
  /** Milliseconds since then. */
  readonly age: number;
  /** Milliseconds of quarantine to come; 0 when that is over. */
  readonly remaining: number;
  /** The longest ttl that it knows of. */
  readonly longestTtl: number;
  /** The master votes for locks up to this ttl: all masters know of it. */
  readonly agreedTtl: number;
}

const STATE = `return { 'OK', guard.state, guard.armed, now - guard.armed, math.max(0, guard.ready - now), guard.longest, guard.agreed }`;

function parseState(reply: readonly unknown[]): GuardState {
  const [status, state, ...numbers] = reply;
  if (status !== "OK") throw new Error(`an unknown status ${String(status)}`);
  const [armedAt = 0, age = 0, remaining = 0, longestTtl = 0, agreedTtl = 0] = numbers.map(Number);
  return {
    state: state === "sure" || state === "new" ? state : "forgot",
    armedAt,
    age,
    remaining,
    longestTtl,
    agreedTtl,
  };
}

/**
 * Arms the guard, and sends it a longest ttl. A guard of another server, or a missing one, means that the master may have
 * forgotten locks: from now on it is in quarantine, and gives no vote before it is sure. A longer ttl that becomes known before the
 * end prolongs the quarantine, which counts from the same start.
 */
export const armOperation: Operation<Arming, GuardState> = {
  name: "arm",
  lua: `
  local quarantine, ttl, patience = tonumber(argv[1]), tonumber(argv[2]), tonumber(argv[3])
  local now = clockOf()
  local guard = guardOf(keys[1])
  if guard.server ~= server then
    guard.state = guard.server and 'forgot' or 'new'
    guard.server, guard.armed, guard.ready = server, now, now + quarantine
    guard.longest, guard.agreed = guard.longest or 0, guard.agreed or 0
  elseif guard.armed > now then
    -- The clock was set back to before the arming: the quarantine begins now.
    guard.armed, guard.ready = now, now + math.max(0, guard.ready - guard.armed)
  end
  guard.longest = math.max(guard.longest, ttl)
  if guard.state ~= 'sure' or guard.ready > now then guard.ready = math.max(guard.ready, guard.armed + quarantine) end
  if guard.state ~= 'sure' and now - guard.armed >= patience then
    guard.state, guard.agreed = 'sure', math.max(guard.agreed, ttl)
  end
  setGuard(guard)
  ${STATE}`,
  keys: ({ names }) => [names.guard],
  argv: ({ quarantine, longestTtl, patience }) => [quarantine, longestTtl, patience],
  parse: parseState,
};

/** What a client knows about all masters, and sends to the guard of one. */
export interface Agreement {
  readonly names: Names;
  /** Names the guard: one from before or after another loss of memory is left alone. */
  readonly armedAt: number;
  /** All masters that are sure know of this ttl, or will before they are. */
  readonly agreedTtl: number;
  /** True when the whole set of masters is known to be new, and cannot have forgotten locks. */
  readonly trust: boolean;
}

/** Makes a guard sure, and lets the master vote for locks up to a ttl. */
export const agreeOperation: Operation<Agreement, GuardState> = {
  name: "agree",
  lua: `
  local now = clockOf()
  local guard = guardOf(keys[1])
  if guard.server ~= server or guard.armed ~= tonumber(argv[1]) then return { 'OTHER' } end
  guard.state, guard.agreed = 'sure', math.max(guard.agreed, tonumber(argv[2]))
  if argv[3] == '1' then guard.ready = 0 end
  setGuard(guard)
  ${STATE}`,
  keys: ({ names }) => [names.guard],
  argv: ({ armedAt, agreedTtl, trust }) => [armedAt, agreedTtl, trust ? 1 : 0],
  parse: parseState,
};
