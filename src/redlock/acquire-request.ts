import { refuseUnknownOptions, requireObject } from "../check-options.ts";
import { describeValue, LockConfigError } from "../errors.ts";
import { hostName } from "../host-name.ts";
import { normaliseKeys } from "../keys/normalise.ts";
import { LONGEST_HOLDER_TEXT } from "../lock/stored-lock.ts";
import { checkGrantable, checkHeartbeat, checkMs, type RedlockSettings } from "./options.ts";

/** Options of one acquisition. All durations are whole milliseconds. */
export interface AcquireOptions {
  /** How long the lock lives when nobody extends it. @defaultValue the `Redlock`'s `ttl` */
  ttl?: number;
  /** Between two extends; `false` for none. @defaultValue the `Redlock`'s, or `ttl / 3` when `ttl` is given */
  heartbeat?: number | false;
  /** How long to wait for a key that somebody else holds. @defaultValue 0 */
  waitTimeout?: number;
  /** Ends the wait; the acquisition then throws the signal's reason, and holds nothing. */
  signal?: AbortSignal;
  /** Who we are, for operators; at most 256 characters are kept. @defaultValue host name and process id */
  holder?: string;
}

/** A checked acquisition, with the defaults of its `Redlock`. */
export interface AcquireRequest {
  readonly keys: string[];
  readonly ttl: number;
  readonly heartbeat: number | false;
  readonly waitTimeout: number;
  readonly signal: AbortSignal | undefined;
  readonly holder: string;
}

const KNOWN = ["ttl", "heartbeat", "waitTimeout", "signal", "holder"];
/** Longest wait in ms for a held key: what a timer of Node can hold. */
const LONGEST_WAIT = 2 ** 31 - 1;

let usual: string | undefined;

/** Who holds a lock of this process, unless it says so itself. */
function usualHolder(): string {
  return (usual ??= `${hostName()} pid ${process.pid}`.slice(0, LONGEST_HOLDER_TEXT));
}

/** Checks what is asked of `acquire`. */
export function readAcquireRequest(
  settings: RedlockSettings,
  keys: unknown,
  options: unknown,
): AcquireRequest {
  if (options === undefined) {
    return {
      keys: normaliseKeys(keys as string | readonly string[]),
      ttl: settings.ttl,
      heartbeat: settings.heartbeat,
      waitTimeout: 0,
      signal: undefined,
      holder: usualHolder(),
    };
  }
  requireObject("options", options, "an object of options");
  refuseUnknownOptions("", options, KNOWN);
  const given: AcquireOptions = options;
  const ttl = given.ttl === undefined ? settings.ttl : checkTtl(settings, given.ttl);
  const { signal, holder = usualHolder() } = given;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new LockConfigError({
      path: "signal",
      found: describeValue(signal),
      expected: "an AbortSignal",
    });
  }
  if (typeof holder !== "string") {
    throw new LockConfigError({
      path: "holder",
      found: describeValue(holder),
      expected: "a text",
    });
  }
  return {
    keys: normaliseKeys(keys as string | readonly string[]),
    ttl,
    heartbeat: heartbeatOf(settings, given, ttl),
    waitTimeout: checkMs("waitTimeout", given.waitTimeout ?? 0, 0, LONGEST_WAIT),
    signal,
    holder: holder.slice(0, LONGEST_HOLDER_TEXT),
  };
}

/** Checks a ttl that is asked for in a call. */
export function checkTtl(settings: RedlockSettings, ttl: unknown): number {
  const checked = checkMs("ttl", ttl, 1, settings.maxTtl);
  checkGrantable("ttl", checked, settings);
  return checked;
}

function heartbeatOf(
  settings: RedlockSettings,
  given: AcquireOptions,
  ttl: number,
): number | false {
  if (given.heartbeat !== undefined) {
    return checkHeartbeat("heartbeat", given.heartbeat, ttl, settings);
  }
  if (given.ttl === undefined || settings.heartbeat === false) return settings.heartbeat;
  return checkHeartbeat("heartbeat", undefined, ttl, settings);
}
