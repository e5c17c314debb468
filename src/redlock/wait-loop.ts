import { LockConflictError } from "../errors.ts";
import type { SafeEmitter } from "../events.ts";
import type { AcquireOutcome } from "../lock/acquire.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { pause } from "../pause.ts";
import { liveWaiter, type Waiter } from "../waiters/waiter.ts";
import type { WaitLists } from "../waiters/wait-lists.ts";
import type { AcquireRequest } from "./acquire-request.ts";
import type { Attempts, Granted } from "./attempts.ts";
import { withoutTag } from "./job-text.ts";
import { LiveWaiter } from "./live-waiter.ts";
import { conflictOf, emitConflict, failureOf, ReplacedError } from "./outcomes.ts";
import { isHeldByCaller, isHeldInScope } from "./scopes.ts";

/**
 * The release of another program's lock wakes no waiter: while such a lock is in the way, a waiter tries again after this
 * many ms, doubling up to the longest.
 */
const SHORTEST_POLL = 50;
const LONGEST_POLL = 1_000;
/** The first waiter may be woken before the release has reached all masters: it tries again after so many ms. */
const EARLY_TRIES = [1, 4];
/** A waiter that was not woken for so many ms tries again, and joins the wait lists again. */
const LONGEST_SLEEP = 10_000;

/** What a {@link WaitLoop} works with. */
export interface WaitLoopParts {
  readonly context: LockContext;
  readonly waitLists: WaitLists;
  readonly events: SafeEmitter;
  /** Aborts when the `Redlock` closes. */
  readonly closing: AbortSignal;
}

/** Whether a job that was woken can have come before the release of its key. */
function mayBeEarly(outcome: AcquireOutcome, { job }: AcquireRequest): boolean {
  if (outcome.kind !== "conflict" || job?.listed !== true) return false;
  const { holder } = outcome;
  return holder !== undefined && holder.ahead === 0 && !holder.reservation;
}

/** What follows a first attempt that was not granted: waiting and further attempts. */
export class WaitLoop {
  readonly #parts: WaitLoopParts;
  readonly #attempts: Attempts;
  #waiters = 0;

  constructor(parts: WaitLoopParts, attempts: Attempts) {
    this.#parts = parts;
    this.#attempts = attempts;
  }

  /**
   * Tries again whenever the keys are reserved for the request, until they are granted or its `waitTimeout` is over.
   * @throws what the acquisition ends with, unless it is granted.
   */
  async run(request: AcquireRequest, first: AcquireOutcome, startedAt: number): Promise<Granted> {
    const { keys, limits, job, stops } = request;
    const { context, closing, waitLists } = this.#parts;
    const { clock } = context;
    const attempts = this.#attempts;
    const signals = [closing, ...stops];
    let outcome = first;
    for (const ms of EARLY_TRIES) {
      if (!mayBeEarly(outcome, request) || attempts.isStopped(request)) break;
      await pause(clock, ms, closing);
      outcome = await attempts.once(request);
    }
    let live: LiveWaiter | undefined;
    let poll = SHORTEST_POLL;
    let waiter = job?.waiter;
    let staysListed = false;
    try {
      for (let tries = 0; ; tries++) {
        if (outcome.kind === "granted") {
          staysListed = true;
          return outcome;
        }
        if (attempts.isStopped(request)) throw attempts.stopReason(request);
        if (outcome.kind !== "conflict") throw failureOf(outcome, keys, context);
        if (outcome.holder?.later !== undefined) throw new ReplacedError(outcome.holder.later);
        const conflict = conflictOf(outcome.holder, request);
        if (tries === 0) emitConflict(this.#parts.events, conflict, job?.job);
        // A job does not wait for itself: it asks for its keys before it runs.
        if (job?.job === undefined && isHeldInScope(conflict)) {
          await Promise.resolve();
          if (isHeldByCaller(conflict)) throw new LockConflictError({ ...conflict, own: true });
        }
        const left = request.waitTimeout - (clock.now() - startedAt);
        if (left <= 0) {
          staysListed = job?.waiter !== undefined;
          throw new LockConflictError(conflict);
        }
        waiter = this.#nextJoin(waiter, request.holder);
        live ??= new LiveWaiter(waitLists, waiter, keys, limits);
        const isKnown = await live.join(waiter, tries, 2 * request.ttl);
        const foreign = outcome.holder !== undefined && outcome.holder.token === undefined;
        const sleep = foreign || !isKnown ? poll : LONGEST_SLEEP;
        await live.sleep(clock, Math.min(left, sleep), signals);
        if (attempts.isStopped(request)) throw attempts.stopReason(request);
        poll = Math.min(poll * 2, LONGEST_POLL);
        outcome = await attempts.again(request, waiter);
      }
    } finally {
      live?.end();
      // A job that outlives the acquisition may be listed again by now, and leaves the wait lists by itself.
      staysListed ||= job?.waiter !== undefined && stops.some(({ aborted }) => aborted);
      if (live !== undefined && waiter !== undefined && !staysListed) {
        void waitLists.leave(waiter, keys);
      }
    }
  }

  /** Numbers the joins of a waiter, so that a later one differs from an earlier one of the same run. */
  #nextJoin(known: Waiter | undefined, holder: string): Waiter {
    if (known !== undefined) return { ...known, joinNumber: (known.joinNumber ?? 0) + 1 };
    const { process, clock } = this.#parts.context;
    const id = String((this.#waiters += 1));
    return liveWaiter(clock.wall(), process, id, withoutTag(holder));
  }
}
