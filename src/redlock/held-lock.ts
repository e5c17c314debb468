import type { Clock } from "../clock.ts";
import { LockLostError, LockUnavailableError, type Loss, type LossReason } from "../errors.ts";
import { Cancellation } from "../cancellation.ts";
import type { HeldSlots, SafeEmitter } from "../events.ts";
import type { HandOver } from "../waiters/hand-over.ts";
import type { WaitLists } from "../waiters/wait-lists.ts";
import {
  Heartbeat,
  type HeartbeatListener,
  type HeartbeatParts,
  type LossNotice,
} from "../heartbeat/heartbeat.ts";
import { type AskingJob, namesOf } from "../job-names.ts";
import type { ExtendOutcome, ReleaseOutcome } from "../lock/tally.ts";
import type { Lease } from "../lock/lease.ts";
import type { SlotChoice } from "../lock/slot-choice.ts";
import { numberOfSlot } from "../lock/slots.ts";
import type { AcquireRequest } from "./acquire-request.ts";
import { type InternalLock, LoggedLock } from "./internal-lock.ts";

/** What the held locks of one `Redlock` share. */
export interface HeldLockParts {
  readonly heartbeats: HeartbeatParts;
  readonly waitLists: WaitLists;
  readonly clock: Clock;
  readonly events: SafeEmitter;
  readonly slotChoice: SlotChoice;
  readonly quorum: number;
  readonly nodeTimeout: number;
  checkTtl(ttl: number): number;
  /** Called once, after the release. */
  readonly onReleased: (lock: HeldLock) => void;
}

type LossOfLock = Pick<Loss, "reason" | "votes" | "blockedFor">;

/** The lock as its user sees it: a lease, its heartbeat and its signal. What few locks need is made on demand. */
export class HeldLock extends LoggedLock implements InternalLock, HeartbeatListener {
  readonly scoped: boolean;
  readonly job: AskingJob | undefined;
  /** See {@link HeldLocks}. */
  index = -1;
  readonly #parts: HeldLockParts;
  readonly #lease: Lease;
  readonly #heartbeat: Heartbeat;
  readonly #grantedAt: number;
  #controller: AbortController | undefined;
  #lost: Cancellation | undefined;
  /** Resolves {@link settled}, once that is used. */
  #settle: (() => void) | undefined;
  #settled: Promise<void> | undefined;
  #over = false;
  #loss: LockLostError | undefined;
  #releasing: Promise<"released" | "expired"> | undefined;
  #handOver: HandOver | undefined;

  constructor(parts: HeldLockParts, lease: Lease, { heartbeat, scoped, job }: AcquireRequest) {
    super();
    this.scoped = scoped;
    this.job = job?.job;
    this.#parts = parts;
    this.#lease = lease;
    this.#grantedAt = parts.clock.now();
    this.#noteSlots(true);
    this.#heartbeat = new Heartbeat(lease, heartbeat, this, parts.heartbeats);
  }

  get keys(): readonly string[] {
    return this.#lease.identity.keys;
  }

  get slot(): number {
    return this.slots[0] ?? 0;
  }

  get slots(): readonly number[] {
    return this.#lease.identity.slots.map(numberOfSlot);
  }

  get heldSlots(): HeldSlots | undefined {
    if (this.#lease.identity.limits === undefined) return undefined;
    const { slot, slots } = this;
    return { slot, slots };
  }

  get fencingToken(): number {
    return this.#lease.identity.token;
  }

  get lost(): Cancellation {
    if (this.#lost === undefined) {
      this.#lost = new Cancellation();
      if (this.#loss !== undefined) this.#lost.abort(this.#loss);
    }
    return this.#lost;
  }

  onExtended(): void {
    const { events } = this.#parts;
    if (!events.hears("extended")) return;
    const { keys, fencingToken, heldSlots } = this;
    events.emit("extended", { keys, fencingToken, remaining: this.remaining(), ...heldSlots });
  }

  onLost(notice: LossNotice): void {
    this.#lose(notice);
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
    return Math.max(0, this.#lease.usableUntil - this.#parts.clock.now());
  }

  assertHeld(): void {
    if (this.held) return;
    // A blocked event loop delays the watchdog: a loss that shows here is reported to all.
    this.#heartbeat.check();
    throw this.#loss ?? this.#lossOf({ reason: "released" });
  }

  assertNotLost(): void {
    if (this.#releasing === undefined) this.assertHeld();
    if (this.#loss !== undefined) throw this.#loss;
  }

  async extend(ttl?: number): Promise<void> {
    const checked = ttl === undefined ? undefined : this.#parts.checkTtl(ttl);
    this.assertHeld();
    const outcome = await new Promise<ExtendOutcome>((resolve) => {
      this.#heartbeat.extend(checked, resolve);
    });
    if (outcome.kind === "extended") return;
    this.assertHeld();
    const { quorum, nodeTimeout } = this.#parts;
    throw new LockUnavailableError({ keys: this.keys, votes: outcome.votes, quorum, nodeTimeout });
  }

  release(): Promise<"released" | "expired"> {
    return this.releaseAfter(0);
  }

  releaseAfter(holdFor: number, done = "", keepsRetry = false): Promise<"released" | "expired"> {
    this.#releasing ??= this.#release(holdFor, done, keepsRetry);
    return this.#releasing;
  }

  get handedOver(): Promise<unknown> | undefined {
    return this.#over ? this.#handOver?.woken : undefined;
  }

  get wokeNext(): boolean {
    return this.#handOver?.isEarly === true;
  }

  get age(): number {
    return this.#parts.clock.now() - this.#grantedAt;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** Resolves after the release. */
  get settled(): Promise<unknown> {
    if (this.#over) return Promise.resolve();
    this.#settled ??= new Promise((resolve) => {
      this.#settle = resolve;
    });
    return this.#settled;
  }

  lose(reason: LossReason): void {
    this.#lose({ reason });
  }

  #lose(notice: LossOfLock): void {
    if (this.#loss !== undefined || this.#releasing !== undefined) return;
    this.#heartbeat.stop();
    const error = this.#lossOf(notice);
    this.#loss = error;
    // The user's signal first: followers of the loss may check it.
    this.#controller?.abort(error);
    this.#lost?.abort(error);
    this.#parts.events.emit("lost", {
      keys: this.keys,
      fencingToken: this.fencingToken,
      error,
      ...namesOf(this.job),
      ...this.heldSlots,
    });
  }

  #release(holdFor: number, done: string, keepsRetry: boolean): Promise<"released" | "expired"> {
    const { waitLists } = this.#parts;
    const { slots, token } = this.#lease.identity;
    // In the same tick, so that no extend can follow the release.
    this.#heartbeat.stop();
    const held = this.age;
    const handOver = waitLists.handOver(slots, token, holdFor, keepsRetry);
    this.#handOver = handOver;
    const how = { holdFor, skipped: waitLists.skipped, done, keepsRetry };
    return new Promise((resolve) => {
      this.#lease.release(handOver, how, (released) => resolve(this.#released(released, held)));
    });
  }

  #released(released: ReleaseOutcome, held: number): "released" | "expired" {
    const { events, onReleased } = this.#parts;
    const { keys, fencingToken } = this;
    const outcome = released.confirmed ? "released" : "expired";
    // The lock of a caller that has gone before the grant was never acquired.
    const wasAcquired = this.index !== -1;
    this.#noteSlots(false);
    onReleased(this);
    this.#over = true;
    this.#settle?.();
    if (wasAcquired && events.hears("released")) {
      const { votes } = released;
      const about = { ...namesOf(this.job), ...this.heldSlots };
      events.emit("released", { keys, fencingToken, outcome, held, votes, ...about });
    }
    return outcome;
  }

  #noteSlots(held: boolean): void {
    const { keys, slots, limits } = this.#lease.identity;
    if (limits === undefined) return;
    const { slotChoice } = this.#parts;
    for (const [index, key] of keys.entries()) {
      const slot = numberOfSlot(slots[index] ?? "");
      if (held) slotChoice.acquired(key, slot);
      else slotChoice.released(key, slot);
    }
  }

  #lossOf(notice: LossOfLock): LockLostError {
    const { keys, fencingToken, age: heldFor } = this;
    return new LockLostError({ ...notice, keys, fencingToken, heldFor });
  }
}
