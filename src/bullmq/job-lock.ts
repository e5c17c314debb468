import type { Job } from "bullmq";
import { Cancellation } from "../cancellation.ts";
import { refuseValue } from "../check-options.ts";
import { LockLostError } from "../errors.ts";
import type { Lock } from "../lock/lock.ts";
import { type InternalLock, LoggedLock } from "../redlock/internal-lock.ts";

/** The locks under which processors run for a job: a method of its processor may have one of its own. */
const locks = new WeakMap<object, Lock[]>();

/**
 * Finds the lock of a job anywhere below its processor, so that it need not be passed on.
 *
 * It is the lock that the processor received, also when that lock holds nothing (`keys` is empty). While a function that the
 * processor calls runs under a lock of its own for the same job, it is the lock that was acquired last. Every activation of a job
 * has an object of its own: pass the `job` that the processor received.
 *
 * @throws {LockConfigError} when no processor made by `withLock` is running this job object now.
 */
export function getLock(job: Job): Lock {
  const lock = locks.get(job)?.at(-1);
  if (lock !== undefined) return lock;
  return refuseValue(
    "getLock(job)",
    "a job that no processor of withLock is running",
    "the job of the running processor",
  );
}

/** Makes {@link getLock} find the lock of a job. @returns a function that ends that. */
export function provideLock(job: Job, lock: Lock): () => void {
  const own = locks.get(job) ?? [];
  locks.set(job, own);
  own.push(lock);
  return () => void own.splice(own.indexOf(lock), 1);
}

/** The lock of a job that runs without one: it is never held and never lost. */
export class UnheldLock extends LoggedLock implements InternalLock {
  readonly keys: readonly string[] = [];
  readonly slot = 0;
  readonly slots: readonly number[] = [];
  readonly fencingToken = 0;
  readonly held = false;
  readonly lost = new Cancellation();
  readonly signal: AbortSignal = new AbortController().signal;
  readonly heldSlots = undefined;
  readonly age = 0;
  readonly handedOver = undefined;
  readonly wokeNext = false;

  remaining(): number {
    return 0;
  }

  assertHeld(): void {
    throw notHeld();
  }

  assertNotLost(): void {}

  extend(): Promise<void> {
    return Promise.reject(notHeld());
  }

  release(): Promise<"expired"> {
    return Promise.resolve("expired");
  }

  releaseAfter(): Promise<"expired"> {
    return this.release();
  }

  lose(): void {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

function notHeld(): LockLostError {
  return new LockLostError({ keys: [], reason: "unlocked", fencingToken: 0, heldFor: 0 });
}
