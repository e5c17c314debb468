import type { Clock } from "../clock.ts";
import { type Holder, LockConflictError, RedlockClosedError } from "../errors.ts";
import { SafeEmitter } from "../events.ts";
import { Heartbeats } from "../heartbeat/heartbeat.ts";
import type { AskingJob } from "../job-names.ts";
import { normaliseKey } from "../keys/normalise.ts";
import { CancelRequests } from "../waiters/cancel-requests.ts";
import { WaitLists } from "../waiters/wait-lists.ts";
import { positionOf } from "../waiters/waiter.ts";
import type { LockContext } from "../lock/lock-context.ts";
import type { Lock } from "../lock/lock.ts";
import { throwIfAborted, unlessAborted } from "../on-abort.ts";
import { within } from "../pause.ts";
import { printable } from "../printable.ts";
import type { Random } from "../random.ts";
import { Acquirer, type Manner } from "./acquirer.ts";
import {
  HandleFactory,
  type HandleOptions,
  noRoutine,
  type RedlockHandle,
} from "../handle/handle.ts";
import type { HeldLock } from "./held-lock.ts";
import {
  inspectKey,
  type KeyInspection,
  lookAtKey,
  type WaiterInspection,
  walkWaiters,
} from "./inspect.ts";
import { listLocks } from "./list.ts";
import { makeContext, REAL_RUNTIME, type Runtime } from "./make-context.ts";
import {
  checkRedlockOptions,
  type RedlockOptions,
  type RedlockSettings,
  warningAboutCount,
} from "./options.ts";
import { findMasterAt } from "../ready/queue-server.ts";
import { checkReady, type ReadyOptions, type ReadyReport } from "../ready/ready.ts";
import { ParkedJobs } from "./parked-jobs.ts";
import { isBarred, NodeStates, type RedlockStatus } from "./status.ts";
import { Observer } from "./telemetry.ts";
import { type AcquireOptions, readAcquireRequest, type AcquireRequest } from "./acquire-request.ts";

/** Of a lock that its user gives back. */
const UNSCOPED: Manner = { scoped: false };

/** Holders give way to later places only: an operator is later than all. */
const LATEST_PLACE = positionOf(Infinity, "~operator", "");

/** Milliseconds that {@link Redlock.close} lets running jobs have to come to their ends. */
const LONGEST_FINISH = 3_000;

/** Milliseconds that {@link Redlock.close} waits at most for what goes on beside locks. */
const LONGEST_ASIDE = 1_000;

/**
 * Distributed locks on independent Redis masters.
 *
 * One instance serves a whole process: it keeps one connection to each master, made at first use, and one timer
 * for the heartbeats of all its locks. Events are those of {@link RedlockEvents}.
 */
export class Redlock extends SafeEmitter implements AsyncDisposable {
  readonly #settings: RedlockSettings;
  readonly #context: LockContext;
  readonly #acquirer: Acquirer;
  readonly #waitLists: WaitLists;
  /** For the processor wrapper: requests to holders to give way. @internal */
  readonly cancelRequests: CancelRequests;
  readonly #handles: HandleFactory;
  readonly #observer: Observer | undefined;
  readonly #held = new Set<HeldLock>();
  readonly #nodeStates: NodeStates;
  /** For the processor wrapper: the jobs that it has parked. @internal */
  readonly parkedJobs: ParkedJobs;
  /** What goes on beside locks. */
  readonly #asides = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;

  /** @throws {LockConfigError} for an option that cannot work. */
  constructor(options?: RedlockOptions);
  /** @internal */
  constructor(options: RedlockOptions | undefined, runtime: Runtime);
  constructor(options: RedlockOptions = {}, runtime: Runtime = REAL_RUNTIME) {
    super();
    const { clock, random } = runtime;
    const settings = checkRedlockOptions(options);
    this.#settings = settings;
    this.#nodeStates = new NodeStates(settings.endpoints.length);
    this.parkedJobs = new ParkedJobs(clock);
    this.#observer =
      settings.telemetry &&
      new Observer(settings.telemetry, this, {
        clock,
        parked: this.parkedJobs,
        voting: () => this.status().voting,
      });
    const observer = this.#observer;
    const answered = observer && ((node: string, ms: number) => observer.answered(node, ms));
    this.#context = makeContext(settings, runtime, this, this.#nodeStates, answered);
    this.#waitLists = new WaitLists(this.#context);
    this.cancelRequests = new CancelRequests(this.#context);
    this.#acquirer = new Acquirer({
      settings,
      context: this.#context,
      heartbeats: new Heartbeats(clock, random),
      waitLists: this.#waitLists,
      events: this,
      held: this.#held,
      closing: this.#closing.signal,
    });
    this.#handles = new HandleFactory(
      {
        acquire: (key, acquireOptions, scoped) => this.#acquire(key, acquireOptions, { scoped }),
        isLocked: (key) => this.isLocked(key),
        checkAcquireOptions: (given) => this.checkAcquireOptions(given),
        closing: this.#closing.signal,
      },
      clock,
      random,
    );
    const warning = warningAboutCount(settings.endpoints.length);
    // Later, so that a listener can be there.
    if (warning !== undefined) queueMicrotask(() => this.emit("warning", warning));
  }

  /**
   * Locks a key, or several keys all or none.
   * @throws {LockConflictError} when somebody else holds a key (still, after `waitTimeout`);
   * {@link LockUnavailableError} when too few masters answer; {@link LockKeyError} for what is no key;
   * {@link LockConfigError} for a bad option; {@link RedlockClosedError}; or the signal's reason.
   */
  acquire(keys: string | readonly string[], options?: AcquireOptions): Promise<Lock> {
    return this.#acquire(keys, options, UNSCOPED);
  }

  /** As {@link acquire}, but `null` when somebody else holds a key. Still throws when too few masters answer. */
  async tryAcquire(
    keys: string | readonly string[],
    options: AcquireOptions = {},
  ): Promise<Lock | null> {
    try {
      return await this.acquire(keys, options);
    } catch (error) {
      if (error instanceof LockConflictError) return null;
      throw error;
    }
  }

  /**
   * Acquires, runs `routine`, and releases when it has settled. Its value or its error is the outcome, whatever
   * becomes of the release.
   * @throws {LockLostError} also when the routine returned but its lock was lost meanwhile: others may have worked
   * at the same time.
   */
  using<T>(keys: string | readonly string[], routine: (lock: Lock) => Promise<T> | T): Promise<T>;
  using<T>(
    keys: string | readonly string[],
    options: AcquireOptions,
    routine: (lock: Lock) => Promise<T> | T,
  ): Promise<T>;
  async using<T>(
    keys: string | readonly string[],
    optionsOrRoutine: AcquireOptions | ((lock: Lock) => Promise<T> | T),
    lastRoutine?: (lock: Lock) => Promise<T> | T,
  ): Promise<T> {
    const [options, routine] =
      typeof optionsOrRoutine === "function"
        ? [{}, optionsOrRoutine]
        : [optionsOrRoutine, lastRoutine];
    if (typeof routine !== "function") throw noRoutine(routine);
    const lock = await this.#acquire(keys, options, { scoped: true });
    try {
      const value = await routine(lock);
      lock.assertNotLost();
      return value;
    } finally {
      await lock.release();
    }
  }

  /**
   * A reusable lock object in the manner of Python's `RedLock`: it tells by a boolean, retries a number of times, and
   * may be re-entrant.
   * @throws {LockConfigError} for a bad option; {@link LockKeyError} for what is not one key.
   */
  handle(key: string, options: HandleOptions = {}): RedlockHandle {
    return this.#handles.create(key, options);
  }

  /**
   * Whether anybody holds the key, by a quorum.
   * @throws {LockUnavailableError} when too few masters answer; {@link LockKeyError} for what is not one key.
   */
  async isLocked(key: string): Promise<boolean> {
    return (await this.inspect(key)).locked;
  }

  /**
   * What each master knows about a key.
   * @throws {LockUnavailableError} when too few masters answer; {@link LockKeyError} for what is not one key.
   */
  async inspect(key: string): Promise<KeyInspection> {
    this.#assertOpen();
    return inspectKey(this.#context, normaliseKey(key));
  }

  /**
   * Goes through all who wait for a key, in order; `inspect` tells the first 20. What comes or goes meanwhile may be missed.
   * @throws {LockUnavailableError} when too few masters answer; {@link LockKeyError} for what is not one key.
   */
  waiters(key: string): AsyncIterableIterator<WaiterInspection> {
    this.#assertOpen();
    return walkWaiters(this.#context, normaliseKey(key));
  }

  /**
   * Asks the holder of a key to stop: its signal aborts, and the job fails for good with `cancelled by ...` unless its
   * processor returns all the same. Heard by jobs whose `onConflict` is `"cancelInProgress"`, or a function; others go on.
   * @param by who asks, and why, for people.
   * @returns the holder that was asked; `undefined` when the key is free. Whether it stops shows only later.
   * @throws {LockUnavailableError} when too few masters answer; {@link LockKeyError} for what is not one key.
   */
  async cancel(key: string, by: string): Promise<Holder | undefined> {
    const { holder } = await this.inspect(key);
    if (holder?.fencingToken === undefined) return undefined;
    this.cancelRequests.ask({ key: normaliseKey(key), holder }, LATEST_PLACE, printable(by));
    // Masters answer in order: when this has been answered, they have the request.
    await this.inspect(key);
    return holder;
  }

  /** For the commands: as {@link inspect}, but does not throw when too few masters answer. @internal */
  async lookAt(key: string): Promise<KeyInspection> {
    this.#assertOpen();
    return lookAtKey(this.#context, normaliseKey(key));
  }

  /**
   * Connects to all masters and examines them: whether they may vote, and whether anything about them makes locks weaker
   * or slower than they should be. Takes somewhat more than a second, `timeout` at most, whatever the masters do, and
   * leaves nothing behind on them but their guards.
   * @throws {NotReadyError} on a fatal finding; it carries the report. {@link RedlockClosedError}.
   * @see docs/ready.md for all findings
   */
  async ready(options: ReadyOptions = {}): Promise<ReadyReport> {
    this.#assertOpen();
    const closing = this.#closing.signal;
    return await checkReady(options, { settings: this.#settings, context: this.#context, closing });
  }

  /**
   * What is known now, without asking a master: for the probes of a container, and for a page that people look at. Before
   * the first lock, or `ready()`, nothing is known of the masters.
   */
  status(): RedlockStatus {
    const { masters, guards } = this.#context;
    const nodes = masters.names.map((name, node) =>
      this.#nodeStates.describe(node, name, guards.quarantineOf(node)),
    );
    const barred = nodes.filter(isBarred).length;
    return {
      ok: this.#closed === undefined && nodes.length - barred >= masters.quorum,
      quorum: masters.quorum,
      voting: nodes.filter(({ votes }) => votes).length,
      held: this.#held.size,
      parked: this.parkedJobs.count,
      nodes,
    };
  }

  /**
   * Goes through the keys that match a glob pattern (`*`, `?`, `[ab]`) and are held, or free with somebody in line
   * (`locked` is false then), in no order; for operators, since every master is asked about every key. What comes or goes
   * meanwhile may be missed.
   * @throws {LockUnavailableError} when too few masters answer; {@link LockKeyError} for an empty pattern; {@link
   * LockConfigError} when an ACL does not allow SCAN.
   * @example for await (const { key, holder } of redlock.list("account:*")) console.log(key, holder?.text);
   */
  list(pattern = "*"): AsyncIterableIterator<KeyInspection> {
    this.#assertOpen();
    return listLocks(this.#context, pattern);
  }

  /**
   * Ends all waiting, aborts the signals of held locks, releases them, and closes the connections. Locks under
   * which a routine of {@link using} or a job still runs are released when it has settled; this waits for them. Jobs
   * have three seconds to come to their ends before their signals abort. Idempotent.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** For the processor wrapper: a lock that its scope gives back, also when the `Redlock` closes meanwhile. @internal */
  acquireScoped(
    keys: readonly string[],
    options: AcquireOptions,
    manner: Omit<Manner, "scoped"> & { readonly job: AskingJob },
  ): Promise<HeldLock> {
    return this.#acquire(keys, options, { ...manner, scoped: true });
  }

  /** For the processor wrapper: the lines of those who wait. @internal */
  get waitLists(): WaitLists {
    return this.#waitLists;
  }

  /** For the processor wrapper: what it does beside its jobs, and {@link close} waits for. @internal */
  finish(work: Promise<unknown>): void {
    this.#asides.add(work);
    void work.finally(() => this.#asides.delete(work));
  }

  /** For the processor wrapper: aborts when the `Redlock` begins to close. @internal */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** For masters in memory: the locks that are held. @internal */
  get held(): ReadonlySet<HeldLock> {
    return this.#held;
  }

  /** For the processor wrapper: where it takes time from. @internal */
  get clock(): Clock {
    return this.#context.clock;
  }

  /** For the processor wrapper: where it takes chance from. @internal */
  get random(): Random {
    return this.#context.random;
  }

  /** The default ttl of its locks, and the longest, in ms. @internal */
  get ttls(): { readonly usual: number; readonly longest: number } {
    return { usual: this.#settings.ttl, longest: this.#settings.maxTtl };
  }

  /** Checks the options of one acquisition before there is one. @internal */
  checkAcquireOptions(options: AcquireOptions): void {
    readAcquireRequest(this.#settings, "any", options);
  }

  /** For the processor wrapper: how long a lock with these options lives, in ms. @internal */
  ttlOf(options: Pick<AcquireOptions, "ttl">): number {
    return options.ttl ?? this.#settings.ttl;
  }

  /** For the processor wrapper: the name of the master that is the Redis of a queue, as far as is seen. @internal */
  masterAt(connection: unknown): string | undefined {
    return findMasterAt(this.#settings.endpoints, connection);
  }

  #acquire(
    keys: string | readonly string[],
    options: AcquireOptions | undefined,
    manner: Manner,
  ): Promise<HeldLock> {
    try {
      this.#assertOpen();
      const request = readAcquireRequest(this.#settings, keys, options);
      const aborts = [manner.cancel, request.signal].filter((signal) => signal !== undefined);
      // Nearly always, and then nothing is made for it.
      if (aborts.length === 0) return this.#observed(request, manner);
      const stops = [...(manner.stops ?? []), ...aborts];
      throwIfAborted(stops);
      const acquiring = this.#observed(request, { ...manner, stops });
      // The attempt goes on without its caller, and is rolled back; `close` waits for it.
      return unlessAborted(acquiring, aborts, (lock) => void lock.release());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #observed(request: AcquireRequest, manner: Manner): Promise<HeldLock> {
    if (this.#observer === undefined) return this.#acquirer.acquire(request, manner);
    const now = (): number => this.#context.clock.now();
    return this.#observer.acquiring(request.keys, manner.job?.queueName, now, () =>
      this.#acquirer.acquire(request, manner),
    );
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new RedlockClosedError();
  }

  async #close(): Promise<void> {
    this.#closing.abort(new RedlockClosedError());
    await this.#acquirer.idle;
    const held = [...this.#held];
    const jobs = held.filter(({ job }) => job !== undefined);
    for (const lock of held) if (lock.job === undefined) lock.lose("closed");
    const others = held.filter(({ job }) => job === undefined);
    const ended = others.map((lock) => (lock.scoped ? lock.settled : lock.release()));
    // A job that returns when it has been told to stop may have done half of its work, and would be run again.
    const finished = Promise.all(jobs.map((lock) => lock.settled));
    if (jobs.length > 0) await within(this.#context.clock, finished, LONGEST_FINISH);
    for (const lock of jobs) lock.lose("closed");
    await Promise.all([finished, ...ended]);
    if (this.#asides.size > 0) {
      await within(this.#context.clock, Promise.all(this.#asides), LONGEST_ASIDE);
    }
    this.#observer?.close();
    this.#waitLists.close();
    this.cancelRequests.close();
    this.#context.guards.close();
    this.#context.masters.close();
  }
}
