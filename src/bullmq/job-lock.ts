import type { Job } from "bullmq";
import { Cancellation } from "../cancellation.ts";
import { refuseValue } from "../check-options.ts";
import { LockConflictError, LockLostError } from "../errors.ts";
import type { Lock } from "../lock/lock.ts";
import type { Engine } from "../redlock/engine.ts";
import { toHolder } from "../redlock/holder.ts";
import { type InternalLock, LoggedLock } from "../redlock/internal-lock.ts";
import { describeAsHolder } from "./holder.ts";

/** A processor, or a function of it that is wrapped too, runs for a job. */
interface Run {
  readonly lock: Lock;
  readonly engine: Engine;
}

/** The runs of each job, the innermost last. */
const runs = new WeakMap<object, Run[]>();

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
  const run = runs.get(job)?.at(-1);
  if (run !== undefined) return run.lock;
  return refuseValue(
    "getLock(job)",
    "a job that no processor of withLock is running",
    "the job of the running processor",
  );
}

/** Makes {@link getLock} find the lock of a job. @returns a function that ends that. */
export function provideLock(job: Job, lock: Lock, engine: Engine): () => void {
  const own = runs.get(job) ?? [];
  runs.set(job, own);
  const run = { lock, engine };
  own.push(run);
  return () => void own.splice(own.indexOf(run), 1);
}

/** @throws {LockConflictError} when the job runs under one of the keys: it would be parked behind itself, again and again. */
export function refuseOwnKeys(job: Job, keys: readonly string[], engine: Engine): void {
  for (const { lock, engine: other } of runs.get(job) ?? []) {
    const key = keys.find((wanted) => lock.keys.includes(wanted));
    if (key === undefined || other !== engine || !lock.held) continue;
    const { fencingToken } = lock;
    const text = describeAsHolder(job);
    const holder = toHolder({ id: "", token: fencingToken, text, kept: false });
    const retryAfter = lock.remaining();
    throw new LockConflictError({ keys, key, holder, own: true, retryAfter, ahead: 0 });
  }
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
