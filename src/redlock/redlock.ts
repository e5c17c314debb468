import { requireFunction, wrongOption } from "../check-options.ts";
import { type Holder, LockConflictError } from "../errors.ts";
import { SafeEmitter } from "../events.ts";
import { type LockKeys, normaliseKey } from "../keys/normalise.ts";
import type { Lock } from "../lock/lock.ts";
import type { ReadyOptions } from "../ready/ready.ts";
import type { ReadyReport } from "../ready/report.ts";
import type { AcquireOptions } from "./acquire-request.ts";
import { type CancelOptions, cancelHolders } from "./cancel-holder.ts";
import { Engine } from "./engine.ts";
import {
  forceRelease,
  type ForceReleaseOptions,
  type ForceReleaseResult,
} from "./force-release.ts";
import { holdKey, type HoldOptions } from "./hold.ts";
import { inspectKey, type KeyInspection, type WaiterInspection, walkWaiters } from "./inspect.ts";
import { type ListedKey, listKeys, listLocks } from "./list.ts";
import { REAL_RUNTIME, type Runtime } from "./make-context.ts";
import type { RedlockOptions } from "./options.ts";
import { runUnder } from "./scopes.ts";
import type { RedlockStatus } from "./status.ts";
import { type WakeResult, wakeKey } from "./wake.ts";

let readEngine: (redlock: Redlock) => Engine;

/**
 * Distributed locks on independent Redis masters.
 *
 * One instance serves a whole process: it keeps one connection to each master, made at first use, a second one for messages
 * from its first waiter on, and one timer for the heartbeats of all its locks. Events are those of {@link RedlockEvents}.
 */
export class Redlock extends SafeEmitter implements AsyncDisposable {
  readonly #engine: Engine;

  static {
    readEngine = (redlock) => redlock.#engine;
  }

  /** @throws {LockConfigError} for an option that cannot work. */
  constructor(options?: RedlockOptions);
  constructor(options: RedlockOptions = {}, runtime: Runtime = REAL_RUNTIME) {
    super();
    this.#engine = new Engine(options, runtime, this);
  }

  /**
   * Locks a key, or several keys all or none.
   * @throws {LockConflictError} when another client holds a key (still, after `waitTimeout`);
   * {@link LockUnavailableError} when too few masters answer; {@link LockKeyError} for what is no key;
   * {@link LockConfigError} for a bad option; {@link RedlockClosedError}; or the signal's reason.
   */
  acquire(keys: LockKeys, options?: AcquireOptions): Promise<Lock> {
    return this.#engine.acquire(keys, options, false);
  }

  /** As {@link acquire}, but `null` when another client holds a key. Still throws when too few masters answer. */
  async tryAcquire(keys: LockKeys, options: AcquireOptions = {}): Promise<Lock | null> {
    try {
      return await this.acquire(keys, options);
    } catch (error) {
      if (error instanceof LockConflictError) return null;
      throw error;
    }
  }

  /**
   * Acquires, runs `routine`, and releases when it has settled. Its value or its error is the outcome, whatever the
   * result of the release.
   * @throws {LockLostError} also when the routine returned but its lock was lost: another holder may have worked at the
   * same time.
   */
  using<T>(keys: LockKeys, routine: (lock: Lock) => Promise<T> | T): Promise<T>;
  using<T>(
    keys: LockKeys,
    options: AcquireOptions,
    routine: (lock: Lock) => Promise<T> | T,
  ): Promise<T>;
  async using<T>(
    keys: LockKeys,
    optionsOrRoutine: AcquireOptions | ((lock: Lock) => Promise<T> | T),
    lastRoutine?: (lock: Lock) => Promise<T> | T,
  ): Promise<T> {
    const [options, routine] =
      typeof optionsOrRoutine === "function"
        ? [{}, optionsOrRoutine]
        : [optionsOrRoutine, lastRoutine];
    requireFunction("routine", routine, "a function to run under the lock");
    let lock = await this.#engine.acquire(keys, options, true);
    // Another routine that was granted its lock in the same step may have blocked the process since.
    if (!lock.held) {
      await lock.release();
      lock = await this.#engine.acquire(keys, options, true);
    }
    try {
      return await runUnder(lock, routine);
    } finally {
      await lock.release();
    }
  }

  /**
   * Whether the key is locked, by a quorum; with a limit, whether all its slots are.
   * @throws {LockUnavailableError} when too few masters answer; {@link LockKeyError} for what is not one key.
   */
  async isLocked(key: string): Promise<boolean> {
    return (await this.inspect(key)).locked;
  }

  /**
   * What each master knows about a key, and about each slot of a key with a limit.
   * @throws {LockUnavailableError} when too few masters answer; {@link LockKeyError} for what is not one key.
   */
  inspect(key: string): Promise<KeyInspection> {
    return this.#engine.whileOpen(() => inspectKey(this.#engine.context, normaliseKey(key)));
  }

  /**
   * Iterates over all waiters of a key, in order; `inspect` returns the first 20. A waiter that comes or goes in the
   * meantime may be missed.
   * @throws {LockUnavailableError} when too few masters answer; {@link LockKeyError} for what is not one key.
   */
  waiters(key: string): AsyncIterableIterator<WaiterInspection> {
    return this.#engine.iterateWhileOpen(walkWaiters(this.#engine.context, normaliseKey(key)));
  }

  /**
   * Asks the holder of a key to stop, each of several: its signal aborts, and the job fails for good with `cancelled by ...` unless its
   * processor returns all the same. Jobs under the `onConflict` `"cancelInProgress"`, or a function, take the request;
   * other holders go on.
   * @param by names the operator and the reason, for people.
   * @returns the holders that were asked; none when the key is free. Whether they stop shows only later.
   * @throws as {@link inspect}; {@link LockConfigError} for an empty `by`, or a bad option.
   */
  cancel(key: string, by: string, options: CancelOptions = {}): Promise<Holder[]> {
    return this.#engine.whileOpen(() =>
      cancelHolders(this.#engine, normaliseKey(key), by, options),
    );
  }

  /**
   * Checks the wait list of a key now, and wakes the first waiter if the key is free, as workers do within seconds.
   * @throws as {@link inspect}.
   */
  wake(key: string): Promise<WakeResult> {
    return this.#engine.whileOpen(() => wakeKey(this.#engine, normaliseKey(key)));
  }

  /**
   * Pauses a key: acquires it as an operator, after its present holder and before all waiters, so that jobs of the key are
   * parked until the release of the returned lock. The lock is extended like any other as long as this process lives.
   * @param reason is shown to people as part of the holder.
   * @throws as {@link acquire}; {@link LockConfigError} for an empty reason.
   */
  async hold(key: string, reason: string, options: HoldOptions = {}): Promise<Lock> {
    return await holdKey(this.#engine, key, reason, options);
  }

  /**
   * Removes the lock of a holder from all masters, as the last resort, and hands the key over to the first waiter. The holder
   * goes on until its next heartbeat, at which its signal aborts: until then both may work at the same time. The value of
   * another program is never removed.
   * @throws as {@link inspect}; {@link LockConfigError} for an empty reason, or a bad option.
   */
  forceRelease(key: string, options: ForceReleaseOptions): Promise<ForceReleaseResult> {
    return this.#engine.whileOpen(() => forceRelease(this.#engine, normaliseKey(key), options));
  }

  /**
   * Connects to all masters and examines them: whether they may vote, and whether anything about them makes locks weaker
   * or slower than they should be. Takes somewhat more than a second, `timeout` at most, whatever the masters do, and
   * leaves nothing behind on them but their guards.
   * @throws {NotReadyError} on a fatal finding; it carries the report. {@link RedlockClosedError}.
   * @see docs/ready.md for all findings
   */
  async ready(options: ReadyOptions = {}): Promise<ReadyReport> {
    this.#engine.assertOpen();
    // oxlint-disable-next-line no-restricted-imports -- loaded on demand: most processes never ask
    const { checkReady } = await import("../ready/ready.ts");
    this.#engine.assertOpen();
    return await checkReady(options, this.#engine);
  }

  /**
   * What is known now, without asking a master: for the probes of a container, and for a status page. Before the first
   * lock, or `ready()`, nothing is known of the masters.
   */
  status(): RedlockStatus {
    return this.#engine.status();
  }

  /**
   * Iterates over the keys that match a glob pattern (`*`, `?`, `[ab]`) and are held, in one slot at least, or
   * free with waiters (`holders` is empty then), in no order; for operators, since every master is asked about every key. A key that comes or goes in the
   * meantime may be missed.
   * @throws {LockUnavailableError} when too few masters answer; {@link LockKeyError} for an empty pattern; {@link
   * LockConfigError} when an ACL does not allow SCAN.
   * @example for await (const { key, holder } of redlock.list("account:*")) console.log(key, holder?.text);
   */
  list(pattern = "*"): AsyncIterableIterator<KeyInspection> {
    return this.#engine.iterateWhileOpen(listLocks(this.#engine.context, pattern));
  }

  /**
   * Iterates over the names of the keys of {@link list}, each once, with the number of waiters; on each master, keys with
   * waiters come first. Costs the masters far less than `list`, since no master is asked about a key. A key that only a
   * minority of the masters stores may be named too.
   * @throws as {@link list}.
   * @example for await (const { key, waiting } of redlock.keys("account:*")) console.log(key, waiting);
   */
  keys(pattern = "*"): AsyncIterableIterator<ListedKey> {
    return this.#engine.iterateWhileOpen(listKeys(this.#engine.context, pattern));
  }

  /**
   * Ends all waiting, aborts the signals of held locks, releases them, and closes the connections. A lock under which a
   * routine of {@link using} or a job still runs is released when that has settled; `close` waits for it. Jobs have three
   * seconds to finish before their signals abort. Idempotent.
   */
  close(): Promise<void> {
    return this.#engine.close();
  }

  /** {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The engine of a `Redlock`, for the rooms of the library. @throws {LockConfigError} for anything else. */
export function engineOf(redlock: unknown): Engine {
  if (redlock instanceof Redlock) return readEngine(redlock);
  throw wrongOption("redlock", redlock, "a Redlock of this copy of bullmq-redlock");
}

/** The class as tests and commands construct it, with another runtime than the real one. */
export const RedlockOn = Redlock as new (
  options: RedlockOptions | undefined,
  runtime: Runtime,
) => Redlock;
