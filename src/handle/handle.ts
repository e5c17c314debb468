import { AsyncLocalStorage } from "node:async_hooks";
import {
  checkMs,
  checkNumber,
  refuseUnknownOptions,
  requireBoolean,
  requireFunction,
  requireObject,
} from "../check-options.ts";
import { LockConflictError, RedlockClosedError } from "../errors.ts";
import { normaliseKey } from "../keys/normalise.ts";
import type { Lock } from "../lock/lock.ts";
import { pause } from "../pause.ts";
import type { AcquireOptions } from "../redlock/acquire-request.ts";
import type { Engine } from "../redlock/engine.ts";
import type { InternalLock } from "../redlock/internal-lock.ts";
import { engineOf, type Redlock } from "../redlock/redlock.ts";
import { runUnder } from "../redlock/scopes.ts";

/** Options of a {@link RedlockHandle}. All durations are whole milliseconds. */
export interface HandleOptions extends Pick<AcquireOptions, "ttl" | "heartbeat" | "holder"> {
  /** How often `acquire` tries in all. @defaultValue 3, as Python's `retry_times` */
  retryTimes?: number;
  /** The pause after a failed try is random, up to this. @defaultValue 200, as Python's `retry_delay` */
  retryDelay?: number;
  /**
   * Whether code that holds the key, and what it calls, may acquire it again; the key is released with the last release.
   * AsyncLocalStorage decides which code that is: all that was started while the key was held belongs to its holder.
   * @defaultValue false
   */
  reentrant?: boolean;
}

const KNOWN = Object.keys({
  ttl: true,
  heartbeat: true,
  holder: true,
  retryTimes: true,
  retryDelay: true,
  reentrant: true,
} satisfies Record<keyof HandleOptions, true>);

/** One acquisition of a key, shared by all code that belongs to its holder. Over when `count` is 0. */
interface Hold {
  readonly engine: Engine;
  readonly key: string;
  readonly lock: InternalLock;
  count: number;
}

/** Where the hold of an asynchronous context is, once the key is acquired. */
interface Slot {
  hold: Hold | undefined;
}

/** The re-entrant holds of the present asynchronous context. */
const context = new AsyncLocalStorage<readonly Slot[]>();

/**
 * A reusable lock object for one key, in the manner of Python's `RedLock`: it reports by a boolean, retries a number of
 * times, and may be re-entrant. Re-entrancy works across all handles of one `Redlock`.
 *
 * @example
 * const handle = new RedlockHandle(redlock, "account:42");
 * if (await handle.acquire()) {
 *   try { await work(); } finally { await handle.release(); }
 * }
 */
export class RedlockHandle implements AsyncDisposable {
  readonly key: string;
  readonly #redlock: Redlock;
  readonly #engine: Engine;
  readonly #options: AcquireOptions;
  readonly #retryTimes: number;
  readonly #retryDelay: number;
  readonly #reentrant: boolean;
  /** The last acquisition of a handle that is not re-entrant. */
  #last: Slot | undefined;

  /**
   * @throws {LockConfigError} for a bad option; {@link LockKeyError} for what is not one key.
   */
  constructor(redlock: Redlock, key: string, options: HandleOptions = {}) {
    const engine = engineOf(redlock);
    requireObject("options", options, "an object of options");
    refuseUnknownOptions("", options, KNOWN);
    const { retryTimes = 3, retryDelay = 200, reentrant = false, ...acquireOptions } = options;
    requireBoolean("reentrant", reentrant);
    engine.checkAcquireOptions(acquireOptions);
    this.key = normaliseKey(key);
    this.#redlock = redlock;
    this.#engine = engine;
    this.#options = acquireOptions;
    this.#retryTimes = checkNumber("retryTimes", retryTimes, {
      min: 1,
      max: 10_000,
      unit: "tries",
    });
    this.#retryDelay = checkMs("retryDelay", retryDelay, 0, 3_600_000);
    this.#reentrant = reentrant;
  }

  /** The lock while it is held here, else `undefined`. */
  get lock(): Lock | undefined {
    return this.#current()?.lock;
  }

  /**
   * Tries to acquire the key, `retryTimes` times.
   * @returns false when another client holds it.
   * @throws {LockUnavailableError} when too few masters answer, at every try; {@link LockLostError} when the caller
   * belongs to a holder that has lost the key.
   */
  acquire(): Promise<boolean> {
    return this.#enter(false).then((hold) => !(hold instanceof LockConflictError));
  }

  /** As {@link acquire}, with the milliseconds for which the key is certainly held without an extend. */
  async acquireWithValidity(): Promise<{ acquired: boolean; validity: number }> {
    const acquired = await this.acquire();
    return { acquired, validity: acquired ? (this.lock?.remaining() ?? 0) : 0 };
  }

  /**
   * Releases the key; a re-entrant one with the last release.
   * @returns false when the key was not held here, or was lost.
   */
  async release(): Promise<boolean> {
    const current = this.#current();
    return current === undefined ? false : await leave(current);
  }

  /** Whether the key is locked, by a quorum. @throws {LockUnavailableError} when too few masters answer. */
  locked(): Promise<boolean> {
    return this.#redlock.isLocked(this.key);
  }

  /**
   * Acquires, runs `routine`, releases.
   * @throws {LockConflictError} when another client holds the key after all tries; {@link LockLostError} when the routine
   * returned but its lock was lost; and what {@link acquire} throws.
   */
  using<T>(routine: (lock: Lock) => Promise<T> | T): Promise<T> {
    try {
      requireFunction("routine", routine, "a function to run under the lock");
      return this.#run(this.#enter(true), routine);
    } catch (error) {
      return Promise.reject(error);
    }
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
      return await runUnder(hold.lock, routine);
    } finally {
      // This hold, not the current one: on a shared handle that may belong to another caller.
      await leave(hold);
    }
  }

  /** Not async: the caller must be in the context of the hold before anything is awaited. */
  #enter(scoped: boolean): Promise<Hold | LockConflictError> {
    const current = this.#reentrant ? this.#current() : undefined;
    if (current !== undefined) return reenter(current);
    const slot: Slot = { hold: undefined };
    if (this.#reentrant) {
      context.enterWith([...(context.getStore() ?? []).filter(({ hold }) => isOn(hold)), slot]);
    }
    return this.#acquire(slot, scoped);
  }

  async #acquire(slot: Slot, scoped: boolean): Promise<Hold | LockConflictError> {
    const engine = this.#engine;
    const { clock, random, closing } = engine;
    for (let tries = 1; ; tries++) {
      try {
        const lock = await engine.acquire(this.key, this.#options, scoped);
        this.#last = slot;
        return (slot.hold = { engine, key: this.key, lock, count: 1 });
      } catch (error) {
        if (tries >= this.#retryTimes && error instanceof LockConflictError) return error;
        if (tries >= this.#retryTimes || error instanceof RedlockClosedError) throw error;
      }
      await pause(clock, random.fraction() * this.#retryDelay, closing);
    }
  }

  #current(): Hold | undefined {
    const slots = this.#reentrant ? (context.getStore() ?? []) : [this.#last];
    const mine = ({ hold }: Slot): boolean =>
      isOn(hold) && hold.key === this.key && hold.engine === this.#engine;
    return slots.find((slot) => slot !== undefined && mine(slot))?.hold;
  }
}

function isOn(hold: Hold | undefined): hold is Hold {
  return hold !== undefined && hold.count > 0;
}

async function reenter(hold: Hold): Promise<Hold> {
  hold.lock.assertHeld();
  hold.count += 1;
  return hold;
}

/** Ends one of the acquisitions that share a hold; false when the key was lost, or released already. */
async function leave(hold: Hold): Promise<boolean> {
  if (!isOn(hold)) return false;
  hold.count -= 1;
  const { held } = hold.lock;
  if (hold.count === 0) await hold.lock.release();
  return held;
}
