import type { Clock } from "../clock.ts";
import { LockLostError, LockUnavailableError, type Loss, type LossReason } from "../errors.ts";
import { Ending } from "../ending.ts";
import type { SafeEmitter } from "../events.ts";
import type { Line } from "../line/line.ts";
import type { Beat, Heartbeat } from "../heartbeat/heartbeat.ts";
import type { Lock } from "../lock/lock.ts";
import type { Tenure } from "../lock/tenure.ts";

/** What a {@link HeldLock} is made of. */
export interface HeldLockParts {
  tenure: Tenure;
  heartbeat: Heartbeat;
  line: Line;
  interval: number | false;
  clock: Clock;
  events: SafeEmitter;
  quorum: number;
  nodeTimeout: number;
  checkTtl(ttl: number): number;
  /** Called once, when the lock has been given back. */
  onReleased(lock: HeldLock): void;
  /** True when code runs under the lock that gives it back itself when it is done. */
  scoped: boolean;
  /** True when that is a job. */
  isJob: boolean;
}

/** Why a lock was lost, whichever it is. */
type LossOfLock = Pick<Loss, "reason" | "votes" | "blockedFor">;

/** The lock as its user sees it: a granted tenure, its heartbeat and its signal. */
export class HeldLock implements Lock {
  readonly keys: readonly string[];
  readonly fencingToken: number;
  readonly scoped: boolean;
  readonly isJob: boolean;
  /** Ends with the {@link LockLostError} when the lock is lost. */
  readonly lost = new Ending();
  readonly #parts: HeldLockParts;
  /** Made when somebody asks for the signal: it costs more than the rest of a lock that is soon given back. */
  #controller: AbortController | undefined;
  readonly #beat: Beat;
  readonly #grantedAt: number;
  /** Resolves {@link settled} once somebody has asked for it. */
  #settle: (() => void) | undefined;
  #settled: Promise<void> | undefined;
  #over = false;
  #loss: LockLostError | undefined;
  #releasing: Promise<"released" | "expired"> | undefined;
  #handedOver: Promise<unknown> = Promise.resolve();

  constructor(parts: HeldLockParts) {
    const { tenure, heartbeat, interval, clock, events } = parts;
    this.keys = tenure.claim.keys;
    this.fencingToken = tenure.claim.token;
    this.scoped = parts.scoped;
    this.isJob = parts.isJob;
    this.#parts = parts;
    this.#grantedAt = clock.now();
    this.#beat = heartbeat.keep(tenure, interval, {
      extended: () =>
        events.emit("extended", {
          keys: this.keys,
          fencingToken: this.fencingToken,
          remaining: this.remaining(),
        }),
      lost: (notice) => this.#lose(notice),
    });
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#loss !== undefined) this.#controller.abort(this.#loss);
    return this.#controller.signal;
  }

  get held(): boolean {
    return this.remaining() > 0;
  }

  remaining(): number {
    if (this.#loss !== undefined || this.#releasing !== undefined) return 0;
    return Math.max(0, this.#parts.tenure.usableUntil - this.#parts.clock.now());
  }

  assertHeld(): void {
    if (this.held) return;
    // The event loop may have been too busy for the watchdog: what is noticed here is true for everybody.
    this.#beat.check();
    throw this.#loss ?? this.#lossOf({ reason: "released" });
  }

  /** @throws {LockLostError} when the lock was lost; not when it was released. */
  assertNotLost(): void {
    if (this.#releasing === undefined) this.assertHeld();
    if (this.#loss !== undefined) throw this.#loss;
  }

  async extend(ttl?: number): Promise<void> {
    const checked = ttl === undefined ? undefined : this.#parts.checkTtl(ttl);
    this.assertHeld();
    const outcome = await this.#beat.beat(checked);
    if (outcome.kind === "extended") return;
    this.assertHeld();
    const { quorum, nodeTimeout } = this.#parts;
    throw new LockUnavailableError({ keys: this.keys, votes: outcome.votes, quorum, nodeTimeout });
  }

  release(): Promise<"released" | "expired"> {
    return this.releaseAfter(0);
  }

  /**
   * As {@link release}, but nobody else gets the keys for another `linger` ms.
   * @param done the place of a job that replaces earlier ones from now on, and has succeeded.
   */
  releaseAfter(linger: number, done = ""): Promise<"released" | "expired"> {
    this.#releasing ??= this.#giveBack(linger, done);
    return this.#releasing;
  }

  /** After the release: resolves when those whose turn it is now have been called. */
  get handedOver(): Promise<unknown> {
    return this.#handedOver;
  }

  /** Milliseconds since the grant. */
  get age(): number {
    return this.#parts.clock.now() - this.#grantedAt;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** Resolves when the lock has been given back, by whoever does it. */
  get settled(): Promise<unknown> {
    if (this.#over) return Promise.resolve();
    this.#settled ??= new Promise((resolve) => {
      this.#settle = resolve;
    });
    return this.#settled;
  }

  /** Ends the lock for its user: the signal aborts. The keys stay until {@link release}. */
  lose(reason: LossReason): void {
    this.#lose({ reason });
  }

  #lose(notice: LossOfLock): void {
    if (this.#loss !== undefined || this.#releasing !== undefined) return;
    this.#beat.stop();
    const error = this.#lossOf(notice);
    this.#loss = error;
    // The user's signal first: those that follow the loss may look at it.
    this.#controller?.abort(error);
    this.lost.abort(error);
    this.#parts.events.emit("lost", {
      keys: this.keys,
      fencingToken: this.fencingToken,
      error,
    });
  }

  async #giveBack(linger: number, done: string): Promise<"released" | "expired"> {
    const { tenure, events, line } = this.#parts;
    // In this very tick, so that no extend can follow the release.
    this.#beat.stop();
    const held = this.age;
    const { heard, called } = line.handOver(this.keys, this.fencingToken, linger);
    const { confirmed, votes } = await tenure.release(heard, {
      linger,
      skipped: line.skipped,
      done,
    });
    this.#handedOver = called();
    const outcome = confirmed ? "released" : "expired";
    this.#parts.onReleased(this);
    this.#over = true;
    this.#settle?.();
    events.emit("released", {
      keys: this.keys,
      fencingToken: this.fencingToken,
      outcome,
      held,
      votes,
    });
    return outcome;
  }

  #lossOf(notice: LossOfLock): LockLostError {
    const { keys, fencingToken, age: heldFor } = this;
    return new LockLostError({ ...notice, keys, fencingToken, heldFor });
  }
}
