import { AsyncLocalStorage } from "node:async_hooks";
import { checkNumber, refuseUnknownOptions, requireObject } from "../check-options.ts";
import type { Clock } from "../clock.ts";
import {
  describeValue,
  LockConfigError,
  LockConflictError,
  RedlockClosedError,
} from "../errors.ts";
import { normaliseKey } from "../keys/normalise.ts";
import type { Lock } from "../lock/lock.ts";
import type { Random } from "../random.ts";
import { pause } from "../pause.ts";
import type { HeldLock } from "../redlock/held-lock.ts";
import { checkMs } from "../redlock/options.ts";
import type { AcquireOptions } from "../redlock/acquire-request.ts";

/** Options of a {@link RedlockHandle}. All durations are whole milliseconds. */
export interface HandleOptions extends Pick<AcquireOptions, "ttl" | "heartbeat" | "holder"> {
  /** How often `acquire` tries in all. @defaultValue 3, as Python's `retry_times` */
  retryTimes?: number;
  /** The pause after a failed try is random, up to this. @defaultValue 200, as Python's `retry_delay` */
  retryDelay?: number;
  /**
   * Whether code that holds the key, and what it calls, may acquire it again; the key is given back with the last
   * release. Who belongs together is told by AsyncLocalStorage: what was started while the key was held belongs
   * to its holder.
   * @defaultValue false
   */
  reentrant?: boolean;
}

const KNOWN = ["ttl", "heartbeat", "holder", "retryTimes", "retryDelay", "reentrant"];

/** What a handle needs of its `Redlock`. */
interface HandleHost {
  acquire(key: string, options: AcquireOptions, scoped: boolean): Promise<HeldLock>;
  /** Aborts when the `Redlock` closes. */
  readonly closing: AbortSignal;
  isLocked(key: string): Promise<boolean>;
  /** @throws {LockConfigError} for a bad option. */
  checkAcquireOptions(options: AcquireOptions): void;
}

/** One acquisition of a key, shared by all who belong to it. Dead when `count` is 0. */
interface Hold {
  readonly key: string;
  readonly lock: HeldLock;
  count: number;
}

/** Where a hold will be, once it has been acquired. */
interface Place {
  hold: Hold | undefined;
}

/** Makes the handles of one `Redlock`; re-entrancy works across all of them. */
export class HandleFactory {
  readonly #host: HandleHost;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #holds = new AsyncLocalStorage<readonly Place[]>();

  constructor(host: HandleHost, clock: Clock, random: Random) {
    this.#host = host;
    this.#clock = clock;
    this.#random = random;
  }

  create(key: string, options: HandleOptions): RedlockHandle {
    requireObject("options", options, "an object of options");
    refuseUnknownOptions("", options, KNOWN);
    const { retryTimes = 3, retryDelay = 200, reentrant = false, ...acquireOptions } = options;
    if (typeof reentrant !== "boolean") {
      throw new LockConfigError({
        path: "reentrant",
        found: describeValue(reentrant),
        expected: "true or false",
      });
    }
    this.#host.checkAcquireOptions(acquireOptions);
    return new RedlockHandle({
      key: normaliseKey(key),
      host: this.#host,
      clock: this.#clock,
      random: this.#random,
      holds: reentrant ? this.#holds : undefined,
      acquireOptions,
      retryTimes: checkNumber("retryTimes", retryTimes, { min: 1, max: 10_000, unit: "tries" }),
      retryDelay: checkMs("retryDelay", retryDelay, 0, 3_600_000),
    });
  }
}

interface HandleParts {
  readonly key: string;
  readonly host: HandleHost;
  readonly clock: Clock;
  readonly random: Random;
  readonly holds: AsyncLocalStorage<readonly Place[]> | undefined;
  readonly acquireOptions: AcquireOptions;
  readonly retryTimes: number;
  readonly retryDelay: number;
}

/** A lock object for one key that can be acquired and released again and again. */
export class RedlockHandle implements AsyncDisposable {
  readonly key: string;
  readonly #parts: HandleParts;
  /** What a handle that is not re-entrant got last. */
  #last: Place | undefined;

  /** @internal */
  constructor(parts: HandleParts) {
    this.key = parts.key;
    this.#parts = parts;
  }

  /** The lock as long as it is held here, else `undefined`. */
  get lock(): Lock | undefined {
    return this.#current()?.lock;
  }

  /**
   * Tries to get the key, `retryTimes` times.
   * @returns false when somebody else holds it.
   * @throws {LockUnavailableError} when too few masters answer, at every try; {@link LockLostError} when the caller
   * belongs to a holder that has lost the key.
   */
  acquire(): Promise<boolean> {
    return this.#enter(false).then((hold) => !(hold instanceof LockConflictError));
  }

  /** As {@link acquire}, and tells for how many milliseconds the key is held for sure if nothing extends it. */
  async acquireWithValidity(): Promise<{ acquired: boolean; validity: number }> {
    const acquired = await this.acquire();
    return { acquired, validity: acquired ? (this.lock?.remaining() ?? 0) : 0 };
  }

  /**
   * Gives the key back; a re-entrant one with the last release.
   * @returns false when the key was not held here, or not any more.
   */
  async release(): Promise<boolean> {
    const current = this.#current();
    return current === undefined ? false : await leave(current);
  }

  /** Whether anybody holds the key, by a quorum. @throws {LockUnavailableError} when too few masters answer. */
  locked(): Promise<boolean> {
    return this.#parts.host.isLocked(this.key);
  }

  /**
   * Acquires, runs `routine`, releases.
   * @throws {LockConflictError} when somebody else holds the key after all tries; {@link LockLostError} when the routine
   * returned but its lock was lost; and what {@link acquire} throws.
   */
  using<T>(routine: (lock: Lock) => Promise<T> | T): Promise<T> {
    // Before the key is asked for, and without an await.
    if (typeof routine !== "function") return Promise.reject(noRoutine(routine));
    return this.#run(this.#enter(true), routine);
  }

  /** {@link release}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  async #run<T>(
    entering: Promise<Hold | LockConflictError>,
    routine: (lock: Lock) => Promise<T> | T,
  ): Promise<T> {
    const hold = await entering;
    if (hold instanceof LockConflictError) throw hold;
    try {
      const value = await routine(hold.lock);
      hold.lock.assertNotLost();
      return value;
    } finally {
      // Its own, not the one of now: on a shared handle that may be somebody else's.
      await leave(hold);
    }
  }

  /** Not async: the caller must be in the context of the hold before anything is awaited. */
  #enter(scoped: boolean): Promise<Hold | LockConflictError> {
    const { holds } = this.#parts;
    const current = holds === undefined ? undefined : this.#current();
    if (current !== undefined) return reenter(current);
    const position: Place = { hold: undefined };
    holds?.enterWith([...(holds.getStore() ?? []).filter(isTaken), position]);
    return this.#acquire(position, scoped);
  }

  async #acquire(position: Place, scoped: boolean): Promise<Hold | LockConflictError> {
    const { host, acquireOptions, retryTimes, retryDelay, clock, random } = this.#parts;
    for (let tries = 1; ; tries++) {
      try {
        const lock = await host.acquire(this.key, acquireOptions, scoped);
        this.#last = position;
        return (position.hold = { key: this.key, lock, count: 1 });
      } catch (error) {
        if (tries >= retryTimes && error instanceof LockConflictError) return error;
        if (tries >= retryTimes || error instanceof RedlockClosedError) throw error;
      }
      await pause(clock, random.fraction() * retryDelay, host.closing);
    }
  }

  #current(): Hold | undefined {
    const { holds } = this.#parts;
    const positions = holds === undefined ? [this.#last] : (holds.getStore() ?? []);
    const position = positions.find((each) => each?.hold?.key === this.key && each.hold.count > 0);
    return position?.hold;
  }
}

/** The error for what cannot run under a lock. */
export function noRoutine(given: unknown): LockConfigError {
  return new LockConfigError({
    path: "routine",
    found: describeValue(given),
    expected: "a function to run under the lock",
  });
}

function isTaken({ hold }: Place): boolean {
  return hold !== undefined && hold.count > 0;
}

async function reenter(hold: Hold): Promise<Hold> {
  hold.lock.assertHeld();
  hold.count += 1;
  return hold;
}

/** Gives back one acquisition of a hold; false when the key was lost, or given back already. */
async function leave(hold: Hold): Promise<boolean> {
  if (hold.count === 0) return false;
  hold.count -= 1;
  const { held } = hold.lock;
  if (hold.count === 0) await hold.lock.release();
  return held;
}
