import type { HeartbeatParts } from "../heartbeat/heartbeat.ts";
import { namesOf } from "../job-names.ts";
import type { AcquireOutcome } from "../lock/acquire.ts";
import { type AcquireRequest, checkTtl } from "./acquire-request.ts";
import { AttemptFollower, Attempts, type Granted } from "./attempts.ts";
import { HeldLock, type HeldLockParts } from "./held-lock.ts";
import type { HeldLocks } from "./held-locks.ts";
import type { RedlockSettings } from "./options.ts";
import { WaitLoop, type WaitLoopParts } from "./wait-loop.ts";

interface AcquirerParts extends WaitLoopParts {
  readonly settings: RedlockSettings;
  readonly heartbeats: HeartbeatParts;
  /** All held locks: granted ones are added, released ones removed. */
  readonly held: HeldLocks<HeldLock>;
}

/** A request on its way to a held lock. */
class Acquisition extends AttemptFollower {
  readonly startedAt: number;
  readonly resolve: (lock: HeldLock) => void;
  readonly reject: (error: unknown) => void;
  readonly #acquirer: Acquirer;

  constructor(
    acquirer: Acquirer,
    attempts: Attempts,
    request: AcquireRequest,
    resolve: (lock: HeldLock) => void,
    reject: (error: unknown) => void,
  ) {
    super(attempts, request);
    this.startedAt = acquirer.now;
    this.resolve = resolve;
    this.reject = reject;
    this.#acquirer = acquirer;
  }

  failed(error: unknown): void {
    this.#acquirer.onFailed(this, error);
  }

  protected ended(outcome: AcquireOutcome): void {
    this.#acquirer.onTried(this, outcome);
  }
}

/** Turns requests into held locks. */
export class Acquirer {
  readonly #parts: AcquirerParts;
  readonly #lockParts: HeldLockParts;
  readonly #attempts: Attempts;
  readonly #waitLoop: WaitLoop;
  #running = 0;
  readonly #awaitingIdle: (() => void)[] = [];

  constructor(parts: AcquirerParts) {
    const { settings, context, heartbeats, waitLists, events, held } = parts;
    const { clock, masters, nodeTimeout } = context;
    this.#parts = parts;
    this.#attempts = new Attempts(context, waitLists, parts.closing);
    this.#waitLoop = new WaitLoop(parts, this.#attempts);
    this.#lockParts = {
      heartbeats,
      waitLists,
      clock,
      events,
      slotChoice: context.slotChoice,
      quorum: masters.quorum,
      nodeTimeout,
      checkTtl: (ttl) => checkTtl(settings, ttl),
      onReleased: (released) => held.delete(released),
    };
  }

  /**
   * Acquires the keys of a request, or throws.
   *
   * A lock that is granted at the first attempt takes this one promise: most do.
   */
  acquire(request: AcquireRequest): Promise<HeldLock> {
    this.#running += 1;
    return new Promise((resolve, reject) => {
      this.#attempts.first(new Acquisition(this, this.#attempts, request, resolve, reject));
    });
  }

  /** The first attempt of an acquisition has ended: makes a lock of a granted one, and waits for the keys after another. */
  onTried(acquisition: Acquisition, outcome: AcquireOutcome): void {
    const { request, startedAt, resolve, reject } = acquisition;
    if (outcome.kind === "granted" && acquisition.wanted) {
      const lock = this.#take(request, outcome, startedAt, false);
      this.#end();
      resolve(lock);
    } else {
      const waiting = this.#wait(request, outcome, startedAt).finally(() => this.#end());
      // Not by closures: V8 finds the caller that waits by the functions of its promise alone.
      waiting.then(resolve, reject);
    }
  }

  /** The first attempt has ended with an unexpected error. */
  onFailed({ reject }: Acquisition, error: unknown): void {
    this.#end();
    reject(error);
  }

  get now(): number {
    return this.#parts.context.clock.now();
  }

  /** Resolves when no acquisition is under way. */
  get idle(): Promise<void> {
    if (this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => this.#awaitingIdle.push(resolve));
  }

  #end(): void {
    this.#running -= 1;
    if (this.#running > 0) return;
    for (const resolve of this.#awaitingIdle.splice(0)) resolve();
  }

  async #wait(
    request: AcquireRequest,
    first: AcquireOutcome,
    startedAt: number,
  ): Promise<HeldLock> {
    const granted = await this.#waitLoop.run(request, first, startedAt);
    if (!this.#attempts.isStopped(request)) {
      return this.#take(request, granted, startedAt, first.kind !== "granted");
    }
    // The caller is gone: without a release the key would stay taken until the ttl is over. A job that was not cancelled comes back.
    const { job } = request;
    const keepsRetry = job?.cancel?.aborted !== true && job?.waiter?.keepsRetries === true;
    await this.#hold(request, granted).releaseAfter(0, "", keepsRetry);
    throw this.#attempts.stopReason(request);
  }

  #take(request: AcquireRequest, outcome: Granted, startedAt: number, refused: boolean): HeldLock {
    const { events, held } = this.#parts;
    const lock = this.#hold(request, outcome);
    held.add(lock);
    if (events.hears("acquired")) this.#emit(lock, request, outcome.rounds, startedAt, refused);
    return lock;
  }

  #emit(
    { keys, fencingToken, heldSlots }: HeldLock,
    { job }: AcquireRequest,
    rounds: number,
    startedAt: number,
    refused: boolean,
  ): void {
    const { context, events } = this.#parts;
    const waited = context.clock.now() - startedAt;
    const about = { ...namesOf(job?.job), ...heldSlots };
    const event = { keys, fencingToken, waited, refused, rounds, ...about };
    const waitingSince = job?.waitingSince;
    if (waitingSince === undefined) {
      events.emit("acquired", event);
      return;
    }
    const grantedAt = context.clock.wall();
    void waitingSince.then((since) => {
      const known = since === undefined ? {} : { refused: true };
      // The clock of the process that parked the job may be ahead of ours.
      const whole = Math.max(waited, grantedAt - (since ?? grantedAt));
      events.emit("acquired", { ...event, ...known, waited: whole });
    });
  }

  #hold(request: AcquireRequest, { lease }: Granted): HeldLock {
    return new HeldLock(this.#lockParts, lease, request);
  }
}
