import { RedlockClosedError } from "../errors.ts";
import type { SafeEmitter } from "../events.ts";
import type { Heartbeat } from "../heartbeat/heartbeat.ts";
import type { WaitLists } from "../waiters/wait-lists.ts";
import { encodeQueueId, positionOf, type Waiter } from "../waiters/waiter.ts";
import { acquire, type AcquireOutcome, type AttemptRequest } from "../lock/acquire.ts";
import type { LockContext } from "../lock/lock-context.ts";
import type { Requester } from "../lock/lock-identity.ts";
import type { AbortSource } from "../on-abort.ts";
import { HeldLock, type HeldLockParts } from "./held-lock.ts";
import type { RedlockSettings } from "./options.ts";
import { conflictOf, failureOf, ReplacedError } from "./outcomes.ts";
import { type AskingJob, namesOf } from "../job-names.ts";
import { LiveWaiter } from "./live-waiter.ts";
import { checkTtl, type AcquireRequest } from "./acquire-request.ts";

/**
 * The release of a lock that is not ours wakes nobody: while one is in the way, a waiter looks by itself after this many
 * ms at first, doubling up to the longest.
 */
const SHORTEST_POLL = 50;
const LONGEST_POLL = 1_000;
/** A waiter that was not called for so many ms tries anyway, and joins the line again. */
const LONGEST_SLEEP = 10_000;

/** What an {@link Acquirer} works with. */
interface AcquirerParts {
  readonly settings: RedlockSettings;
  readonly context: LockContext;
  readonly heartbeat: Heartbeat;
  readonly waitLists: WaitLists;
  readonly events: SafeEmitter;
  /** All held locks: granted ones are entered, released ones taken out. */
  readonly held: Set<HeldLock>;
  /** Aborts when the `Redlock` closes. */
  readonly closing: AbortSignal;
}

/** How an acquisition goes about its work. */
export interface Manner {
  /** See {@link HeldLock.scoped}. */
  readonly scoped: boolean;
  /** The job that asks, if one does. */
  readonly job?: AskingJob;
  /** When a job that was parked was first refused, in ms since 1970. Must not reject. */
  readonly waitingSince?: Promise<number | undefined>;
  /** Who stands in line, when that outlives the acquisition: its place is kept when it ends with a conflict. */
  readonly waiter?: Waiter;
  /** True when `waiter` may be in line already. */
  readonly inLine?: boolean;
  /**
   * To join the lines of taken keys at the first conflict, as one that arrives; `"replacing"` to stand for earlier ones from
   * then on.
   */
  readonly joins?: boolean | "replacing";
  /** What ends the wait, once the attempt that is under way is over. */
  readonly stops?: readonly AbortSource[];
  /** What ends the acquisition at once, as the signal of its options does: the attempt goes on without its caller. */
  readonly cancel?: AbortSource | undefined;
}

const NONE: readonly AbortSource[] = [];

type Granted = AcquireOutcome & { readonly kind: "granted" };

/** Attempts and the waiting between them, until a lock is held or there is an error to throw. */
export class Acquirer {
  readonly #parts: AcquirerParts;
  readonly #lockParts: HeldLockParts;
  #waiters = 0;
  /** How many acquisitions are under way. */
  #running = 0;
  readonly #awaitingIdle: (() => void)[] = [];
  /** The caller of all acquisitions that are in no line. */
  readonly #placeless: Requester;

  constructor(parts: AcquirerParts) {
    const { settings, context, heartbeat, waitLists, events, held } = parts;
    const { clock, masters, nodeTimeout } = context;
    this.#parts = parts;
    this.#placeless = {
      process: context.process,
      queueId: "",
      position: "",
      run: 0,
      replaceable: false,
      joins: undefined,
    };
    this.#lockParts = {
      heartbeat,
      waitLists,
      clock,
      events,
      quorum: masters.quorum,
      nodeTimeout,
      checkTtl: (ttl) => checkTtl(settings, ttl),
      onReleased: (released) => held.delete(released),
    };
  }

  /** Fulfils a wish. */
  acquire(request: AcquireRequest, manner: Manner): Promise<HeldLock> {
    this.#running += 1;
    return new Promise((resolve, reject) => {
      const settle = (lock: HeldLock): void => {
        this.#end();
        resolve(lock);
      };
      const failed = (error: unknown): void => {
        this.#end();
        reject(error);
      };
      const { inLine = false, joins = false, waiter } = manner;
      const startedAt = this.#parts.context.clock.now();
      const requester = this.#callerOf(waiter, { inLine, joins });
      const first = (outcome: AcquireOutcome): void => {
        if (outcome.kind === "granted" && !this.#isStopped(manner)) {
          settle(this.#take(request, manner, outcome, { startedAt, refused: false }));
        } else this.#goOn(request, manner, outcome, startedAt).then(settle, failed);
      };
      this.#attempt(request, requester, manner, first, failed);
    });
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

  /** What follows an attempt that was not granted at once. */
  async #goOn(
    request: AcquireRequest,
    manner: Manner,
    first: AcquireOutcome,
    startedAt: number,
  ): Promise<HeldLock> {
    const { waiter, stops = NONE } = manner;
    const { context, closing, events, waitLists } = this.#parts;
    const { clock } = context;
    const signals = [closing, ...stops];
    let outcome = first;
    let reservation: LiveWaiter | undefined;
    let poll = SHORTEST_POLL;
    let position = waiter;
    let keepsPlace = false;
    try {
      for (let attempt = 1; ; attempt++) {
        if (outcome.kind === "granted") {
          keepsPlace = true;
          if (!this.#isStopped(manner)) {
            return this.#take(request, manner, outcome, { startedAt, refused: attempt > 1 });
          }
          // The caller does not want it any more; it must not linger until its ttl is over.
          await this.#hold(request, manner, outcome).release();
          throw this.#stopReason(stops);
        }
        if (this.#isStopped(manner)) throw this.#stopReason(stops);
        if (outcome.kind !== "conflict") throw failureOf(outcome, request.keys, context);
        if (outcome.holder?.later !== undefined) throw new ReplacedError(outcome.holder.later);
        const conflict = conflictOf(outcome.holder, request);
        if (attempt === 1 && events.hears("conflict")) {
          const { keys, key, holder, reserved, retryAfter, ahead, waiting } = conflict;
          const kept = reserved === undefined ? {} : { reserved };
          const others = waiting === undefined ? {} : { waiting };
          const names = namesOf(manner.job);
          const fields = { keys, key, holder, ...kept, retryAfter, ahead, ...others, ...names };
          events.emit("conflict", fields);
        }
        const left = request.waitTimeout - (clock.now() - startedAt);
        if (left <= 0) {
          keepsPlace = waiter !== undefined;
          throw conflict;
        }
        position = this.#nextStanding(position);
        reservation ??= new LiveWaiter(waitLists, position, request.keys);
        const heard = await reservation.join(position, attempt - 1, 2 * request.ttl);
        const foreign = outcome.holder !== undefined && outcome.holder.token === undefined;
        const sleep = foreign || !heard ? poll : LONGEST_SLEEP;
        await reservation.come(clock, Math.min(left, sleep), signals);
        if (this.#isStopped(manner)) throw this.#stopReason(stops);
        poll = Math.min(poll * 2, LONGEST_POLL);
        const requester = this.#callerOf(position, { inLine: true, joins: false });
        outcome = await new Promise<AcquireOutcome>((resolve, reject) =>
          this.#attempt(request, requester, manner, resolve, reject),
        );
      }
    } finally {
      reservation?.end();
      // Who stands beyond the acquisition may be in line again by now, and leaves it by itself.
      keepsPlace ||= waiter !== undefined && stops.some(({ aborted }) => aborted);
      if (reservation !== undefined && position !== undefined && !keepsPlace)
        void waitLists.leave(position, request.keys);
    }
  }

  /** One attempt; those who wait are not left waiting by what it leaves behind. */
  #attempt(
    { keys, ttl, holder }: AcquireRequest,
    requester: Requester,
    manner: Manner,
    settle: (outcome: AcquireOutcome) => void,
    failed: (error: unknown) => void,
  ): void {
    let awaited: Set<string> | undefined;
    const request: AttemptRequest = {
      keys,
      ttl,
      holder,
      requester,
      wanted: () => !this.#isStopped(manner),
      rolledBack: {
        heard: (_, reservations) => {
          for (const [index, { waiting }] of reservations.entries()) {
            if (waiting > 0) (awaited ??= new Set()).add(keys[index] ?? "");
          }
        },
      },
    };
    const ended = (outcome: AcquireOutcome): void => {
      // A holder serves the line when it is done. Without a holder this attempt does.
      const served = outcome.kind === "granted" || (outcome.kind === "conflict" && outcome.holder);
      if (!served && awaited !== undefined) void this.#parts.waitLists.check([...awaited]);
      settle(outcome);
    };
    acquire(this.#parts.context, request, ended, failed);
  }

  #isStopped({ stops = NONE }: Manner): boolean {
    return this.#parts.closing.aborted || stops.some(({ aborted }) => aborted);
  }

  #callerOf(
    waiter: Waiter | undefined,
    { inLine, joins }: { inLine: boolean; joins: boolean | "replacing" },
  ): Requester {
    if (waiter === undefined) return this.#placeless;
    const { context, waitLists } = this.#parts;
    const { queueId, position, run, priority, replaceable, behind } = waiter;
    const record = joins === false ? "" : waitLists.recordOf(waiter, "arriving");
    return {
      process: context.process,
      queueId: waitLists.isOpen(queueId) ? encodeQueueId(queueId) : "",
      // Who was never in line has neither a turn nor anything to take out.
      position: inLine || joins !== false || replaceable || behind !== undefined ? position : "",
      run,
      replaceable,
      behind: behind && { priority, record: waitLists.absenteeRecord, others: behind },
      joins: record === "" ? undefined : { priority, record, replaces: joins === "replacing" },
    };
  }

  /** A later entry in line is told from an earlier one of the same run. */
  #nextStanding(known: Waiter | undefined): Waiter {
    if (known !== undefined) return { ...known, entry: (known.entry ?? 0) + 1 };
    const { process, clock } = this.#parts.context;
    const queueId = `~${process}`;
    const position = positionOf(clock.wall(), queueId, String((this.#waiters += 1)));
    return { position, priority: 0, queueId, run: 1, replaceable: false };
  }

  #take(
    request: AcquireRequest,
    manner: Manner,
    outcome: Granted,
    asked: { startedAt: number; refused: boolean },
  ): HeldLock {
    const { events, held } = this.#parts;
    const lock = this.#hold(request, manner, outcome);
    held.add(lock);
    if (events.hears("acquired")) this.#tell(lock, manner, outcome.rounds, asked);
    return lock;
  }

  #tell(
    { keys, fencingToken }: HeldLock,
    { job, waitingSince }: Manner,
    rounds: number,
    { startedAt, refused }: { startedAt: number; refused: boolean },
  ): void {
    const { context, events } = this.#parts;
    const waited = context.clock.now() - startedAt;
    const event = { keys, fencingToken, waited, refused, rounds, ...namesOf(job) };
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

  #hold({ heartbeat }: AcquireRequest, { scoped, job }: Manner, { lease }: Granted): HeldLock {
    return new HeldLock(this.#lockParts, lease, { interval: heartbeat, scoped, job });
  }

  #stopReason(stops: readonly AbortSource[]): unknown {
    if (this.#parts.closing.aborted) return new RedlockClosedError();
    return stops.find(({ aborted }) => aborted)?.reason;
  }
}
