import { inspect, type InspectOptions } from "node:util";
import type { Cancellation } from "../cancellation.ts";
import type { LossReason } from "../errors.ts";
import type { HeldSlots } from "../events.ts";
import type { Lock } from "../lock/lock.ts";

/** A lock as the library's own code sees it: also the one of a job that runs without a lock. */
export interface InternalLock extends Lock {
  /** Ends with the `LockLostError` when the lock is lost. Costs less than {@link Lock.signal}. */
  readonly lost: Cancellation;
  /** Its slots, for events; `undefined` where no key has a limit. */
  readonly heldSlots: HeldSlots | undefined;
  /** Milliseconds since the grant; 0 when there was none. */
  readonly age: number;
  /** After the release: resolves when the next waiters have been woken; `undefined` when there are none. */
  readonly handedOver: Promise<unknown> | undefined;
  /** Once a release has begun: whether the next waiter has been woken together with it. */
  readonly wokeNext: boolean;
  /** Ends the lock for its user: the signal aborts. The keys stay taken until {@link Lock.release}. */
  lose(reason: LossReason): void;
  /** @throws {LockLostError} when the lock was lost; not when it was released. */
  assertNotLost(): void;
  /**
   * As {@link Lock.release}, but the keys stay taken for another `holdFor` ms.
   * @param done the position of a job that has succeeded and supersedes earlier ones; empty for none.
   * @param keepsRetry whether the keys stay reserved for the job, which will run again.
   */
  releaseAfter(
    holdFor: number,
    done?: string,
    keepsRetry?: boolean,
  ): Promise<"released" | "expired">;
}

/** What logs show of a lock. */
export abstract class LoggedLock {
  abstract readonly keys: readonly string[];
  abstract readonly fencingToken: number;
  abstract readonly held: boolean;
  abstract readonly heldSlots: HeldSlots | undefined;
  abstract remaining(): number;

  toJSON(): object {
    const { keys, fencingToken, held, heldSlots } = this;
    return { keys, fencingToken, ...heldSlots, held, remaining: Math.floor(this.remaining()) };
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    return `Lock ${inspect(this.toJSON(), options)}`;
  }
}
