import { RedlockClosedError } from "../errors.ts";
import { acquire, type AcquireOutcome, type AttemptRequest } from "../lock/acquire.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { type Requester, unlisted } from "../lock/lock-identity.ts";
import { encodeQueueId, type Waiter } from "../waiters/waiter.ts";
import type { WaitLists } from "../waiters/wait-lists.ts";
import type { AcquireRequest } from "./acquire-request.ts";

/** An outcome that made a lock. */
export type Granted = AcquireOutcome & { readonly kind: "granted" };

/** Single attempts to acquire the keys of a request. */
export class Attempts {
  readonly #context: LockContext;
  readonly #waitLists: WaitLists;
  readonly #closing: AbortSignal;
  /** Stands for all requests that are in no wait list. */
  readonly #unlisted: Requester;

  constructor(context: LockContext, waitLists: WaitLists, closing: AbortSignal) {
    this.#context = context;
    this.#waitLists = waitLists;
    this.#closing = closing;
    this.#unlisted = unlisted(context.process);
  }

  /** Starts the first attempt of a request. */
  first(
    request: AcquireRequest,
    settle: (outcome: AcquireOutcome) => void,
    failed: (error: unknown) => void,
  ): void {
    const { job } = request;
    const requester =
      job === undefined
        ? this.#unlisted
        : this.#requesterOf(job.waiter, job.listed ?? false, job.joins ?? false);
    this.#start(request, requester, settle, failed);
  }

  /** As {@link first}. */
  once(request: AcquireRequest): Promise<AcquireOutcome> {
    return new Promise((resolve, reject) => this.first(request, resolve, reject));
  }

  /** Tries again for a waiter that is in the wait lists. */
  again(request: AcquireRequest, waiter: Waiter): Promise<AcquireOutcome> {
    const requester = this.#requesterOf(waiter, true, false);
    return new Promise((resolve, reject) => this.#start(request, requester, resolve, reject));
  }

  isStopped({ stops }: AcquireRequest): boolean {
    return this.#closing.aborted || stops.some(({ aborted }) => aborted);
  }

  /** What to throw when the lock is no longer wanted. */
  stopReason({ stops }: AcquireRequest): unknown {
    if (this.#closing.aborted) return new RedlockClosedError();
    return stops.find(({ aborted }) => aborted)?.reason;
  }

  #start(
    request: AcquireRequest,
    requester: Requester,
    settle: (outcome: AcquireOutcome) => void,
    failed: (error: unknown) => void,
  ): void {
    const { keys, limits, ttl, holder } = request;
    let awaited: Set<string> | undefined;
    const attempt: AttemptRequest = {
      keys,
      limits,
      ttl,
      holder,
      requester,
      wanted: () => !this.isStopped(request),
      rolledBack: (slots, reservations) => {
        for (const [index, { waiting }] of reservations.entries()) {
          if (waiting > 0) (awaited ??= new Set()).add(slots[index] ?? "");
        }
      },
    };
    const ended = (outcome: AcquireOutcome): void => {
      // A holder serves the wait list at its release. Without a holder this attempt has to: its rollback freed the keys.
      const served = outcome.kind === "granted" || (outcome.kind === "conflict" && outcome.holder);
      if (!served && awaited !== undefined) void this.#waitLists.check([...awaited]);
      settle(outcome);
    };
    acquire(this.#context, attempt, ended, failed);
  }

  #requesterOf(
    waiter: Waiter | undefined,
    listed: boolean,
    joins: boolean | "replacing",
  ): Requester {
    if (waiter === undefined) return this.#unlisted;
    const waitLists = this.#waitLists;
    const { queueId, position, run, priority, replaceable, behind, keepsRetries } = waiter;
    const isKnown = listed || joins !== false || replaceable || behind !== undefined;
    const record = joins === false ? "" : waitLists.recordOf(waiter, "arriving");
    return {
      process: this.#context.process,
      queueId: waitLists.isOpen(queueId) ? encodeQueueId(queueId) : "",
      // A waiter that was never listed has neither a reservation nor an entry to remove.
      position: isKnown || keepsRetries === true ? position : "",
      run,
      replaceable,
      keepsRetries,
      behind: behind && { priority, record: waitLists.absenteeRecord, others: behind },
      joins: record === "" ? undefined : { priority, record, replaces: joins === "replacing" },
    };
  }
}
