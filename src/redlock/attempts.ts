import { RedlockClosedError } from "../errors.ts";
import { acquire, type AcquireOutcome, type AttemptListener } from "../lock/acquire.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { type Requester, unlisted } from "../lock/lock-identity.ts";
import type { ReservationReply } from "../lock/wait-list-hooks.ts";
import { encodeQueueId, type Waiter } from "../waiters/waiter.ts";
import type { WaitLists } from "../waiters/wait-lists.ts";
import type { AcquireRequest } from "./acquire-request.ts";

/** An outcome that made a lock. */
export type Granted = AcquireOutcome & { readonly kind: "granted" };

/** Follows a single attempt. A holder serves the wait list at its release; without one, this has to, after a rollback. */
export abstract class AttemptFollower implements AttemptListener {
  readonly request: AcquireRequest;
  readonly #attempts: Attempts;
  /** The slots that a rollback has freed and that others wait for. */
  #awaited: Set<string> | undefined;

  constructor(attempts: Attempts, request: AcquireRequest) {
    this.#attempts = attempts;
    this.request = request;
  }

  get wanted(): boolean {
    return !this.#attempts.isStopped(this.request);
  }

  rolledBack(slots: readonly string[], reservations: readonly ReservationReply[]): void {
    for (const [index, { waiting }] of reservations.entries()) {
      if (waiting > 0) (this.#awaited ??= new Set()).add(slots[index] ?? "");
    }
  }

  settled(outcome: AcquireOutcome): void {
    const served = outcome.kind === "granted" || (outcome.kind === "conflict" && outcome.holder);
    if (!served && this.#awaited !== undefined) {
      void this.#attempts.waitLists.check([...this.#awaited]);
    }
    this.ended(outcome);
  }

  abstract failed(error: unknown): void;

  /** As {@link settled}. */
  protected abstract ended(outcome: AcquireOutcome): void;
}

/** An attempt whose outcome is awaited. */
class AwaitedAttempt extends AttemptFollower {
  readonly #resolve: (outcome: AcquireOutcome) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    attempts: Attempts,
    request: AcquireRequest,
    resolve: (outcome: AcquireOutcome) => void,
    reject: (error: unknown) => void,
  ) {
    super(attempts, request);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  failed(error: unknown): void {
    this.#reject(error);
  }

  protected ended(outcome: AcquireOutcome): void {
    this.#resolve(outcome);
  }
}

/** Single attempts to acquire the keys of a request. */
export class Attempts {
  readonly waitLists: WaitLists;
  readonly #context: LockContext;
  readonly #closing: AbortSignal;
  /** Stands for all requests that are in no wait list. */
  readonly #unlisted: Requester;

  constructor(context: LockContext, waitLists: WaitLists, closing: AbortSignal) {
    this.#context = context;
    this.waitLists = waitLists;
    this.#closing = closing;
    this.#unlisted = unlisted(context.process);
  }

  /** Starts the first attempt of a request. */
  first(follower: AttemptFollower): void {
    const { request } = follower;
    acquire(this.#context, request, this.#firstRequester(request), follower);
  }

  /** As {@link first}. */
  once(request: AcquireRequest): Promise<AcquireOutcome> {
    return this.#outcomeOf(request, this.#firstRequester(request));
  }

  /** Tries again for a waiter that is in the wait lists. */
  again(request: AcquireRequest, waiter: Waiter): Promise<AcquireOutcome> {
    return this.#outcomeOf(request, this.#requesterOf(waiter, false));
  }

  isStopped({ stops }: AcquireRequest): boolean {
    return this.#closing.aborted || stops.some(({ aborted }) => aborted);
  }

  /** What to throw when the lock is no longer wanted. */
  stopReason({ stops }: AcquireRequest): unknown {
    if (this.#closing.aborted) return new RedlockClosedError();
    return stops.find(({ aborted }) => aborted)?.reason;
  }

  #outcomeOf(request: AcquireRequest, requester: Requester): Promise<AcquireOutcome> {
    return new Promise((resolve, reject) => {
      const follower = new AwaitedAttempt(this, request, resolve, reject);
      acquire(this.#context, request, requester, follower);
    });
  }

  #firstRequester({ job }: AcquireRequest): Requester {
    return this.#requesterOf(job?.waiter, job?.joins ?? false);
  }

  #requesterOf(waiter: Waiter | undefined, joins: boolean | "replacing"): Requester {
    if (waiter === undefined) return this.#unlisted;
    const { waitLists } = this;
    const { queueId, position, run, priority, replaceable, behind, keepsRetries } = waiter;
    const record = joins === false ? "" : waitLists.recordOf(waiter, "arriving");
    return {
      process: this.#context.process,
      queueId: waitLists.isOpen(queueId) ? encodeQueueId(queueId) : "",
      position,
      run,
      replaceable,
      keepsRetries,
      behind: behind && { priority, record: waitLists.absenteeRecord, others: behind },
      joins: record === "" ? undefined : { priority, record, replaces: joins === "replacing" },
    };
  }
}
