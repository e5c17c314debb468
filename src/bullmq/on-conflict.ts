import { LockConflictError, LockUnavailableError, RedlockClosedError } from "../errors.ts";
import { waiterAt } from "../redlock/inspect.ts";
import type { InternalLock } from "../redlock/internal-lock.ts";
import { ReplacedError } from "../redlock/outcomes.ts";
import type { Waiter } from "../waiters/waiter.ts";
import type { Activation } from "./activation.ts";
import { delayedError } from "./control-errors.ts";
import { describeAsHolder, isSameJob } from "./holder.ts";
import { UnheldLock } from "./job-lock.ts";
import { timesDelayed } from "./job-wait.ts";
import { canSupersede, mayPark } from "./conflict-effects.ts";
import { checkConflictPolicy, checkPolicies } from "./lock-settings.ts";
import type { ConflictPolicy } from "./options.ts";
import { fail, parkOrDelay, skip, type Skipped } from "./refused-job.ts";
import { SLOT_NEEDED } from "./worker-slots.ts";

/** How a job asks for its keys. */
export class KeyRequest {
  readonly waiter: Waiter | undefined;
  /** Milliseconds to wait in the worker slot. */
  readonly waitTimeout: number;
  /** The conflict after which the job waits in its worker slot; `undefined` for the first request. */
  readonly conflict: LockConflictError | undefined;

  constructor(waiter: Waiter | undefined, waitTimeout = 0, conflict?: LockConflictError) {
    this.waiter = waiter;
    this.waitTimeout = waitTimeout;
    this.conflict = conflict;
  }
}

/**
 * Applies the policies of a job to a request that brought no lock.
 * @returns the next request, a lock that holds nothing for a job that runs without one, or what the job completes with.
 * @throws the error that tells BullMQ that the job was delayed, or that fails it.
 */
export async function afterRefusal(
  activation: Activation,
  request: KeyRequest,
  error: unknown,
): Promise<KeyRequest | InternalLock | Skipped> {
  activation.throwIfCancelled();
  const { closing } = activation;
  const { waiter, conflict } = request;
  if (conflict !== undefined) {
    const isClosing = closing.aborted && error === closing.reason;
    if (isClosing || error === SLOT_NEEDED) return await parkOrDelay(activation, waiter, conflict);
    if (error instanceof LockConflictError) return await parkOrDelay(activation, waiter, error);
  } else {
    if (error instanceof ReplacedError) return await afterReplacement(activation, waiter, error.by);
    if (error instanceof LockConflictError) return await afterConflict(activation, waiter, error);
  }
  return await afterFailure(activation, error);
}

/** Applies `onConflict`: another holder has a key. */
async function afterConflict(
  activation: Activation,
  waiter: Waiter | undefined,
  conflict: LockConflictError,
): Promise<KeyRequest | Skipped> {
  const { settings, job } = activation;
  const policy = await choosePolicy(activation, conflict);
  activation.throwIfCancelled();
  if (policy === "skip" || policy === "fail") {
    // The job may have been parked before, under another policy, and has joined if a function is asked.
    if (timesDelayed(job) > 0 || mayPark(settings.onConflict)) activation.leave();
    if (policy === "skip") return await skip(activation, conflict, "conflict");
    return await fail(activation, conflict);
  }
  // A function may choose any policy, so this is not known before.
  const chosen = waiter && { ...waiter, replaceable: canSupersede(policy) };
  if (policy === "wait") {
    const waitTimeout = Math.min(settings.waitTimeout, Math.ceil(activation.startableFor));
    return new KeyRequest(chosen, waitTimeout, conflict);
  }
  if (policy === "cancelInProgress" && waiter !== undefined) {
    settings.engine.cancelRequests.ask(conflict, waiter.position, describeAsHolder(job));
  }
  return await parkOrDelay(activation, chosen, conflict);
}

/** A later job supersedes this one, if this one's policy allows it. */
async function afterReplacement(
  activation: Activation,
  waiter: Waiter | undefined,
  by: string,
): Promise<KeyRequest | Skipped> {
  const { job: text = "a later job", since } = waiterAt(by);
  const holder = { text, fencingToken: 0, since };
  const { keys } = activation;
  const key = keys[0] ?? "";
  const conflict = new LockConflictError({ keys, key, holder, retryAfter: 0, ahead: 0 });
  if (!canSupersede(await choosePolicy(activation, conflict))) {
    return new KeyRequest(waiter && { ...waiter, replaceable: false });
  }
  activation.leave();
  return await skip(activation, conflict, "superseded");
}

/**
 * Applies `onUnavailable`, or ends the activation: there is no lock, and no holder either. Some masters may have refused the job, and
 * listed it: it stays in the wait lists only if it comes back to use its reservation.
 */
async function afterFailure(
  activation: Activation,
  error: unknown,
): Promise<InternalLock | Skipped> {
  const { settings, renewal } = activation;
  const isUnavailable = error instanceof LockUnavailableError;
  // The program closed its Redlock before its worker: other processes can still run the job.
  if ((isUnavailable && settings.onUnavailable === "delay") || error instanceof RedlockClosedError)
    return await parkOrDelay(activation, undefined, error);
  // @protection a job that does not come back leaves the wait lists
  activation.leave();
  if (isUnavailable) {
    if (settings.onUnavailable === "fail") return await fail(activation, error);
    await activation.log(`${error.message}; runs without a lock`);
    return new UnheldLock();
  }
  if (renewal.lost.aborted && error === renewal.lost.reason) {
    throw delayedError("BullMQ gave the job to another worker");
  }
  throw error;
}

/** @throws {LockConfigError} for a policy that does not fit, and what a function throws: the job has left the wait lists then. */
async function choosePolicy(
  activation: Activation,
  conflict: LockConflictError,
): Promise<ConflictPolicy> {
  const { settings, job } = activation;
  // A job must not be skipped or failed because of the rest of its own earlier run.
  if (isSameJob(job, conflict.holder)) return "delay";
  const { onConflict } = settings;
  if (typeof onConflict !== "function") {
    // Its work has not been done, whatever the holder does: a retry that completes as skipped would be lost.
    return onConflict === "skip" && job.attemptsMade > 0 ? "delay" : onConflict;
  }
  try {
    const chosen = await onConflict(job, conflict);
    const policy = checkConflictPolicy("onConflict(job, conflict)", chosen);
    checkPolicies(settings, policy);
    return policy;
  } catch (error) {
    activation.leave();
    throw error;
  }
}
