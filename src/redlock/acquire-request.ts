import {
  checkMs,
  refuseUnknownOptions,
  requireObject,
  requireText,
  wrongOption,
} from "../check-options.ts";
import { LONGEST_TIMER } from "../clock.ts";
import { hostName } from "../host-name.ts";
import type { AskingJob } from "../job-names.ts";
import { readLimit } from "../keys/limit.ts";
import { type LockKeys, normaliseKeys } from "../keys/normalise.ts";
import { LONGEST_HOLDER_TEXT } from "../lock/stored-lock.ts";
import type { AbortSource } from "../on-abort.ts";
import type { Waiter } from "../waiters/waiter.ts";
import {
  checkGrantable,
  checkHeartbeat,
  REDLOCK_OPTIONS,
  type RedlockSettings,
} from "./options.ts";

/** Options of one acquisition. All durations are whole milliseconds. */
export interface AcquireOptions {
  /** How long the lock lives without an extend. @defaultValue the `Redlock`'s `ttl` */
  ttl?: number;
  /** Between two extends; `false` for none. @defaultValue the `Redlock`'s, or `ttl / 3` when `ttl` is given */
  heartbeat?: number | false;
  /** How long to wait for a key that is held. @defaultValue 0 */
  waitTimeout?: number;
  /**
   * How many clients may hold each key at the same time, from 1 to 1000; a key may have a limit of its own. Every client obeys its
   * own limit: all must use the same one for a key.
   * @defaultValue 1
   */
  limit?: number;
  /** Ends the wait; the acquisition then throws the signal's reason. A request under way is rolled back in the background. */
  signal?: AbortSignal;
  /** Describes the holder to operators; at most 256 characters are kept. @defaultValue host name and process id */
  holder?: string;
}

/** What the job wrapper, or a hold, adds to an acquisition. */
export interface JobRequest {
  /** Absent for a hold. */
  readonly job?: AskingJob;
  /** When a job that was parked was first refused, in ms since 1970. Must not reject. */
  readonly waitingSince?: Promise<number | undefined>;
  /** The job as a waiter: it outlives the acquisition, and keeps its position after a conflict. */
  readonly waiter?: Waiter;
  /** True when `waiter` may be in the wait lists already. */
  readonly listed?: boolean;
  /**
   * Whether the job joins the wait lists of taken keys at the first conflict; `"replacing"` supersedes earlier jobs from
   * then on.
   */
  readonly joins?: boolean | "replacing";
  /** Ends the wait, once the attempt that is under way is over. */
  readonly stops?: readonly AbortSource[];
  /** As one of `stops`; the job does not come back. */
  readonly cancel?: AbortSource | undefined;
}

/** One acquisition, checked, with the defaults of its `Redlock`: the same object from the call to the lock. */
export interface AcquireRequest {
  readonly keys: string[];
  /** How many holders each key may have; `undefined` when each may have one. */
  readonly limits: readonly number[] | undefined;
  readonly ttl: number;
  readonly heartbeat: number | false;
  readonly waitTimeout: number;
  readonly holder: string;
  /** True when code runs under the lock that releases it when it is done. */
  readonly scoped: boolean;
  readonly job: JobRequest | undefined;
  /** Ends the acquisition at once: the attempt goes on without its caller. */
  readonly signal: AbortSignal | undefined;
  /** Ends the wait, once the attempt that is under way is over: `signal` does too. */
  readonly stops: readonly AbortSource[];
}

const KNOWN = Object.keys({
  ttl: true,
  heartbeat: true,
  waitTimeout: true,
  limit: true,
  signal: true,
  holder: true,
} satisfies Record<keyof AcquireOptions, true>);

const NONE: readonly AbortSource[] = [];

let processName: string | undefined;

function defaultHolder(): string {
  return (processName ??= `${hostName()} pid ${process.pid}`.slice(0, LONGEST_HOLDER_TEXT));
}

/**
 * Checks the keys and options of an acquisition.
 * @throws {LockKeyError} for what is no key; {@link LockConfigError} for a bad option.
 */
export function readAcquireRequest(
  settings: RedlockSettings,
  keys: unknown,
  options: unknown,
  scoped = false,
  job?: JobRequest,
): AcquireRequest {
  if (options === undefined && job === undefined) {
    // A spread would cost more than all the rest of the request.
    const normal = normaliseKeys(keys as LockKeys);
    return {
      keys: normal.keys,
      limits: normal.limits,
      ttl: settings.ttl,
      heartbeat: settings.heartbeat,
      waitTimeout: 0,
      holder: defaultHolder(),
      scoped,
      job,
      signal: undefined,
      stops: NONE,
    };
  }
  // The habit of other packages.
  const hint = typeof options === "number" ? `, such as: { ttl: ${options} }` : "";
  requireObject("options", options, `an object of options${hint}`);
  refuseUnknownOptions("", options, KNOWN);
  const given: AcquireOptions = options;
  const ttl = given.ttl === undefined ? settings.ttl : checkTtl(settings, given.ttl);
  const { signal, waitTimeout = 0 } = given;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw wrongOption("signal", signal, "an AbortSignal");
  }
  const limit = readLimit("limit", given.limit);
  const holder: unknown = given.holder === undefined ? defaultHolder() : given.holder;
  requireText("holder", holder, "a text");
  const normal = normaliseKeys(keys as LockKeys, limit);
  return {
    keys: normal.keys,
    limits: normal.limits,
    ttl,
    heartbeat: heartbeatOf(settings, given, ttl),
    waitTimeout: checkMs("waitTimeout", waitTimeout, 0, LONGEST_TIMER),
    holder: holder.slice(0, LONGEST_HOLDER_TEXT),
    scoped,
    job,
    signal,
    stops: [
      ...(job?.stops ?? NONE),
      ...(job?.cancel ? [job.cancel] : NONE),
      ...(signal ? [signal] : NONE),
    ],
  };
}

/** Checks a ttl that a call asks for. */
export function checkTtl(settings: RedlockSettings, ttl: unknown): number {
  const mayRaise = settings.maxTtl < REDLOCK_OPTIONS.maxTtl.max;
  const limit = mayRaise
    ? "the maxTtl of the Redlock (raise it there for longer locks)"
    : undefined;
  const checked = checkMs("ttl", ttl, REDLOCK_OPTIONS.ttl.min, settings.maxTtl, limit);
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
