import type { Job } from "bullmq";
import { LockConfigError } from "../errors.ts";
import type { Lock } from "./lock.ts";

const locks = new WeakMap<object, Lock>();

/**
 * Finds the lock of a job anywhere below its processor, so that it need not be handed down.
 *
 * It is the lock that the processor got, also when that is one that holds nothing (`keys` is empty). Every
 * activation of a job has an object of its own: give the `job` that the processor got.
 *
 * @throws {LockConfigError} when no processor made by `withLock` is running this job object now.
 */
export function getLock(job: Job): Lock {
  const lock = locks.get(job);
  if (lock !== undefined) return lock;
  throw new LockConfigError({
    path: "getLock(job)",
    found: "a job that no processor of withLock is running",
    expected: "the job of the running processor",
  });
}

/** Lets {@link getLock} find a lock until the returned function is called. */
export function offerLock(job: Job, lock: Lock): () => void {
  locks.set(job, lock);
  return () => locks.delete(job);
}
