import type { Clock } from "../clock.ts";
import { LockConflictError, RedlockClosedError } from "../errors.ts";
import type { RedlockEvents, SafeEmitter } from "../events.ts";
import { type LockKeys, normaliseKey } from "../keys/normalise.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { throwIfAborted, unlessAborted } from "../on-abort.ts";
import { within } from "../pause.ts";
import type { Random } from "../random.ts";
import { parseEndpoint } from "../redis/endpoint.ts";
import { TimerHeap } from "../timer-heap.ts";
import { CancelRequests } from "../waiters/cancel-requests.ts";
import type { Waiter } from "../waiters/waiter.ts";
import { WaitLists } from "../waiters/wait-lists.ts";
import {
  type AcquireOptions,
  type AcquireRequest,
  type JobRequest,
  readAcquireRequest,
} from "./acquire-request.ts";
import { Acquirer } from "./acquirer.ts";
import { logEvents } from "./debug-log.ts";
import type { HeldLock } from "./held-lock.ts";
import { HeldLocks } from "./held-locks.ts";
import { type KeyInspection, surveyKey } from "./inspect.ts";
import { makeContext, type Runtime } from "./make-context.ts";
import { checkRedlockOptions, type RedlockSettings, warningAboutCount } from "./options.ts";
import { ParkedJobs } from "./parked-jobs.ts";
import { NodeStates, type RedlockStatus } from "./status.ts";
import { Observer } from "./observer.ts";
import { conflictOf, emitConflict } from "./outcomes.ts";

/** Milliseconds that {@link Engine.close} leaves running jobs to finish before their signals abort. */
const LONGEST_FINISH = 3_000;

/** Milliseconds that {@link Engine.close} waits at most for work that jobs have left behind. */
const LONGEST_BACKGROUND = 1_000;

/** What a `Redlock` is made of, for the rooms of the library: the facade shows users only what they need. */
export class Engine {
  readonly settings: RedlockSettings;
  readonly context: LockContext;
  readonly events: SafeEmitter;
  readonly clock: Clock;
  readonly random: Random;
  readonly waitLists: WaitLists;
  readonly cancelRequests: CancelRequests;
  readonly parkedJobs: ParkedJobs;
  readonly #nodeStates: NodeStates;
  readonly #acquirer: Acquirer;
  readonly #observer: Observer | undefined;
  readonly #held = new HeldLocks<HeldLock>();
  readonly #background = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;

  /** @throws {LockConfigError} for an option that cannot work. */
  constructor(options: unknown, runtime: Runtime, events: SafeEmitter) {
    const { clock, random } = runtime;
    const settings = checkRedlockOptions(options);
    this.settings = settings;
    this.events = events;
    this.clock = clock;
    this.random = random;
    this.parkedJobs = new ParkedJobs(clock);
    this.#nodeStates = new NodeStates(settings.endpoints.length);
    this.#observer =
      settings.telemetry &&
      new Observer(settings.telemetry, events, {
        clock,
        parked: this.parkedJobs,
        voting: () => this.status().voting,
      });
    const observer = this.#observer;
    const answered = observer && ((node: string, ms: number) => observer.answered(node, ms));
    this.context = makeContext(settings, runtime, events, this.#nodeStates, answered);
    this.waitLists = new WaitLists(this.context);
    this.cancelRequests = new CancelRequests(this.context);
    this.#acquirer = new Acquirer({
      settings,
      context: this.context,
      heartbeats: { timers: new TimerHeap(clock), clock, random },
      waitLists: this.waitLists,
      events,
      held: this.#held,
      closing: this.closing,
    });
    logEvents(events);
    const warning = warningAboutCount(settings.endpoints.length);
    // Deferred, so that a listener can be added first.
    if (warning !== undefined) queueMicrotask(() => events.emit("warning", warning));
  }

  get held(): Iterable<HeldLock> {
    return this.#held;
  }

  /** Aborts with a `RedlockClosedError` when {@link close} begins. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** @throws {RedlockClosedError} from {@link close} on. */
  assertOpen(): void {
    if (this.#closed !== undefined) throw new RedlockClosedError();
  }

  /** Runs what asks the masters. What fails after {@link close} fails with a `RedlockClosedError`. */
  async whileOpen<T>(ask: () => Promise<T>): Promise<T> {
    this.assertOpen();
    try {
      return await ask();
    } catch (error) {
      this.assertOpen();
      throw error;
    }
  }

  /** As {@link whileOpen}, for what asks them step by step. */
  iterateWhileOpen<T>(iterator: AsyncGenerator<T, void, void>): AsyncGenerator<T, void, void> {
    this.assertOpen();
    return this.#iterate(iterator);
  }

  /**
   * Acquires keys.
   * @param scoped see {@link AcquireRequest.scoped}.
   * @param job what the job wrapper adds.
   */
  acquire(
    keys: LockKeys,
    options: AcquireOptions | undefined,
    scoped: boolean,
    job?: JobRequest,
  ): Promise<HeldLock> {
    try {
      this.assertOpen();
      const request = readAcquireRequest(this.settings, keys, options, scoped, job);
      throwIfAborted(request.stops);
      const { signal } = request;
      // The usual case, which needs no further promise.
      if (signal === undefined) return this.#observed(request);
      // The attempt goes on without its caller, and is rolled back; `close` waits for it.
      return unlessAborted(this.#observed(request), signal, (lock) => void lock.release());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * For a job that any conflict parks: of a crowded key it joins the wait list, as if it were parked, and does not ask for the key.
   * @param ttl of the lock that it would ask for.
   * @returns the conflict; `undefined` when the job has to ask for its key, which may be free.
   */
  async joinCrowd(
    { waiter, job }: Pick<JobRequest, "job"> & { readonly waiter: Waiter },
    key: string,
    limits: readonly number[] | undefined,
    ttl: number,
  ): Promise<LockConflictError | undefined> {
    const startedAt = this.clock.now();
    const span = this.#observer?.begin([key], job?.queueName);
    const holder = await this.waitLists.joinCrowd(waiter, key, limits);
    if (holder === undefined) {
      this.#observer?.unasked(span);
      return undefined;
    }
    const conflict = conflictOf(holder, { keys: [key], limits, ttl });
    emitConflict(this.events, conflict, job);
    this.#observer?.refused(span, job?.queueName, this.clock.now() - startedAt);
    return new LockConflictError(conflict);
  }

  /** Checks the options of an acquisition. @throws {LockConfigError} for a bad one. */
  checkAcquireOptions(options: AcquireOptions): void {
    readAcquireRequest(this.settings, "any", options, false);
  }

  /** What each master knows about a key, even if too few masters answer. */
  survey(key: string): Promise<KeyInspection> {
    return this.whileOpen(() => surveyKey(this.context, normaliseKey(key)));
  }

  /**
   * The name of the master that a queue's connection leads to, by the address as it is written: other addresses of the
   * same server are not known here.
   */
  masterAt(connection: unknown): string | undefined {
    try {
      const { address } = parseEndpoint("connection", connection);
      return this.settings.endpoints.find((master) => master.address === address)?.name;
    } catch {
      // Several servers, a cluster or another database: none of the masters.
      return undefined;
    }
  }

  /** Counts a job that was moved to the delayed set until it is taken up or woken, and emits the event. */
  noteParked(parked: RedlockEvents["parked"][0]): void {
    this.parkedJobs.add(parked.job, parked.queue, parked.delay);
    this.events.emit("parked", parked);
  }

  /** Makes {@link close} wait for work that a job leaves behind. */
  awaitAtClose(work: Promise<unknown>): void {
    this.#background.add(work);
    void work.finally(() => this.#background.delete(work));
  }

  /** What is known now, without asking a master. */
  status(): RedlockStatus {
    const { masters, guards, refusals } = this.context;
    const silences = masters.ports.map(({ silence }, node) => silence ?? refusals.causeOf(node));
    const nodes = masters.names.map((name, node) =>
      this.#nodeStates.describe(node, name, guards.quarantineOf(node), silences[node]),
    );
    // A master that was not asked yet may vote.
    const mayVote = nodes.filter(
      ({ state, votes }, node) => votes || (state === "unknown" && silences[node] === undefined),
    ).length;
    return {
      ok: this.#closed === undefined && mayVote >= masters.quorum,
      quorum: masters.quorum,
      voting: nodes.filter(({ votes }) => votes).length,
      // A lost lock stays there until it is released.
      held: [...this.#held].filter(({ held }) => held).length,
      parked: this.parkedJobs.count,
      nodes,
    };
  }

  /** Ends all waiting, releases what is held, and closes the connections. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async *#iterate<T>(iterator: AsyncGenerator<T, void, void>): AsyncGenerator<T, void, void> {
    try {
      yield* iterator;
    } catch (error) {
      this.assertOpen();
      throw error;
    }
  }

  #observed(request: AcquireRequest): Promise<HeldLock> {
    if (this.#observer === undefined) return this.#acquirer.acquire(request);
    const now = (): number => this.clock.now();
    return this.#observer.acquiring(request.keys, request.job?.job?.queueName, now, () =>
      this.#acquirer.acquire(request),
    );
  }

  async #close(): Promise<void> {
    this.#closing.abort(new RedlockClosedError());
    await this.#acquirer.idle;
    const held = [...this.#held];
    const jobs = held.filter(({ job }) => job !== undefined);
    for (const lock of held) if (lock.job === undefined) lock.lose("closed");
    const others = held.filter(({ job }) => job === undefined);
    const ended = others.map((lock) => (lock.scoped ? lock.settled : lock.release()));
    // A job that returns because it was asked to stop may have done half of its work, and would be run again.
    const finished = Promise.all(jobs.map((lock) => lock.settled));
    if (jobs.length > 0) await within(this.clock, finished, LONGEST_FINISH);
    for (const lock of jobs) lock.lose("closed");
    await Promise.all([finished, ...ended]);
    if (this.#background.size > 0) {
      await within(this.clock, Promise.all(this.#background), LONGEST_BACKGROUND);
    }
    this.#observer?.close();
    this.waitLists.close();
    this.cancelRequests.close();
    this.context.guards.close();
    this.context.masters.close();
  }
}
