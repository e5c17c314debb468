import { LockConflictError, LockUnavailableError, RedlockClosedError } from "../errors.ts";
import { parsePosition } from "../waiters/waiter.ts";
import { within } from "../pause.ts";
import type { HeldLock } from "../redlock/held-lock.ts";
import { ReplacedError } from "../redlock/outcomes.ts";
import type { Activation } from "./activation.ts";
import { timesDelayed } from "./backoff.ts";
import { cancellationOf, leaveLines } from "./job-cancellation.ts";
import { delayedError } from "./control-errors.ts";
import { delay, refuse, skip, type Skipped } from "./on-conflict.ts";
import { describeAsHolder, isSameJob } from "./holder.ts";
import {
  checkConflictPolicy,
  type ConflictPolicy,
  isReplacingPolicy,
  type LockSettings,
} from "./options.ts";
import { predecessorsOf } from "./predecessors.ts";
import { UnheldLock } from "./unheld-lock.ts";
import { waitingSince } from "./wait-record.ts";

/** Milliseconds that a job waits at most, under its lock, to learn since when it has waited. */
const LONGEST_READ = 500;

/** What an activation runs under, or what it completes with instead. */
export type JobLock = { readonly kind: "lock"; readonly lock: HeldLock | UnheldLock } | Skipped;

/**
 * Gets the lock of a job, or does with the job what its policies say.
 * @throws whatever tells BullMQ what became of the job, when it neither runs nor is skipped.
 */
export async function acquireForJob(
  activation: Activation,
  keys: readonly string[] | null,
): Promise<JobLock> {
  if (keys === null) return { kind: "lock", lock: new UnheldLock() };
  const { settings, waiter } = activation;
  if (settings.order === "strict" && waiter !== undefined && waiter.behind === undefined) {
    const behind = await predecessorsOf(activation, keys, waiter);
    return await acquireForJob({ ...activation, waiter: { ...waiter, behind } }, keys);
  }
  try {
    return { kind: "lock", lock: await acquire(activation, keys, { waitTimeout: 0 }) };
  } catch (error) {
    throwIfCancelled(activation, keys);
    if (error instanceof ReplacedError) return await giveUpPlace(activation, keys, error);
    if (!(error instanceof LockConflictError)) return await withoutLock(activation, keys, error);
    return await giveWay(activation, keys, error);
  }
}

async function giveWay(
  activation: Activation,
  keys: readonly string[],
  conflict: LockConflictError,
): Promise<JobLock> {
  const { settings, waiter, job } = activation;
  const { cancelRequests } = settings.engine;
  const policy = await choosePolicy(activation, conflict).catch((error: unknown) => {
    leaveLines(activation, keys);
    throw error;
  });
  throwIfCancelled(activation, keys);
  // Only now is it known: a function may choose any policy.
  const chosen = standingFor(activation, isReplacingPolicy(policy));
  if (policy === "wait") return await waitInSlot(chosen, keys, conflict);
  if (policy === "skip" || policy === "fail") {
    // It may have been parked before, under another policy; and a function is asked when it is in line.
    if (timesDelayed(job) > 0 || parks(settings.onConflict)) leaveLines(activation, keys);
    if (policy === "skip") return await skip(activation, conflict, "conflict");
    throw await refuse(activation, conflict);
  }
  if (policy === "cancelInProgress" && waiter !== undefined) {
    cancelRequests.ask(conflict, waiter.position, describeAsHolder(job));
  }
  return await delay(chosen, keys, conflict);
}

/** The activation of a job that stands for earlier ones, and may be replaced by later ones, or does neither. */
function standingFor(activation: Activation, replaceable: boolean): Activation {
  const { waiter } = activation;
  return { ...activation, waiter: waiter && { ...waiter, replaceable } };
}

async function waitInSlot(
  activation: Activation,
  keys: readonly string[],
  conflict: LockConflictError,
): Promise<JobLock> {
  const { closing, settings } = activation;
  try {
    const { waitTimeout } = settings;
    const lock = await acquire(activation, keys, { waitTimeout, closing });
    return { kind: "lock", lock };
  } catch (error) {
    throwIfCancelled(activation, keys);
    if (error instanceof LockConflictError) return await delay(activation, keys, error);
    if (closing.aborted && error === closing.reason) {
      return await delay(activation, keys, conflict);
    }
    return await withoutLock(activation, keys, error);
  }
}

/** A later job stands for this one, if this one's policy lets it. */
async function giveUpPlace(
  activation: Activation,
  keys: readonly string[],
  { by }: ReplacedError,
): Promise<JobLock> {
  const { settings, waiter } = activation;
  const later = parsePosition(by);
  const text =
    later === undefined ? "a later job" : `${later.queueId.split(" ").at(-1)}:${later.id}`;
  const holder = { text, fencingToken: 0, since: later?.since };
  const conflict = new LockConflictError({
    keys,
    key: keys[0] ?? "",
    holder,
    retryAfter: 0,
    ahead: 0,
  });
  if (!isReplacingPolicy(await choosePolicy(activation, conflict))) {
    return await acquireForJob(standingFor(activation, false), keys);
  }
  if (waiter !== undefined) void settings.engine.waitLists.leave(waiter, keys);
  return await skip(activation, conflict, "superseded");
}

async function acquire(
  { settings, job, cancel, renewal, waiter }: Activation,
  keys: readonly string[],
  { waitTimeout, closing }: { waitTimeout: number; closing?: AbortSignal },
): Promise<HeldLock> {
  const { engine } = settings;
  const options = { ...settings.lock, holder: describeAsHolder(job), waitTimeout };
  // Beside the acquisition, and only where it is told.
  const isTold = engine.events.hears("acquired") && timesDelayed(job) > 0;
  const since = isTold ? waitingSince(job).catch(() => undefined) : undefined;
  const lock = await engine.acquire(keys, options, true, {
    job,
    ...(since === undefined ? {} : { waitingSince: since }),
    ...(waiter === undefined ? {} : { waiter }),
    listed: timesDelayed(job) > 0,
    // At once, so that nobody who comes after the conflict is before it.
    // And a holder that is asked to give way shall not be one that comes between.
    joins: settings.onConflict === "cancelInProgress" ? "replacing" : parks(settings.onConflict),
    cancel,
    stops: [renewal.lost, closing].filter((stop) => stop !== undefined),
  });
  if (since !== undefined) await within(engine.clock, since, LONGEST_READ);
  return lock;
}

/** Also where a function decides: how many wait is told to those in line, so that of jobs that conflict at once each counts. */
function parks(onConflict: LockSettings["onConflict"]): boolean {
  return (
    typeof onConflict === "function" || onConflict === "delay" || isReplacingPolicy(onConflict)
  );
}

async function choosePolicy(
  { settings, job }: Activation,
  conflict: LockConflictError,
): Promise<ConflictPolicy> {
  // A job must not be skipped or failed because of what is left of its own earlier run.
  if (isSameJob(job, conflict.holder)) return "delay";
  const { onConflict } = settings;
  if (typeof onConflict !== "function") {
    // Its work has not been done, whatever the holder does: a retry that completes as skipped would be lost.
    return onConflict === "skip" && job.attemptsMade > 0 ? "delay" : onConflict;
  }
  return checkConflictPolicy("onConflict(job, conflict)", await onConflict(job, conflict));
}

/** There is no lock, and no holder either. */
async function withoutLock(
  activation: Activation,
  keys: readonly string[],
  error: unknown,
): Promise<JobLock> {
  const { settings, renewal, log } = activation;
  if (error instanceof LockUnavailableError) {
    if (settings.onUnavailable === "fail") throw await refuse(activation, error);
    if (settings.onUnavailable === "delay") return await delay(activation, keys, error);
    await log.trouble(`${error.message}; runs without a lock`);
    return { kind: "lock", lock: new UnheldLock() };
  }
  // A program that closes its Redlock before its worker: other processes can still do the job.
  if (error instanceof RedlockClosedError) return await delay(activation, keys, error);
  if (renewal.lost.aborted && error === renewal.lost.reason) {
    throw delayedError("BullMQ gave the job to another worker");
  }
  throw error;
}

/** @throws when the job was cancelled, whatever else has become of its lock. */
function throwIfCancelled(activation: Activation, keys: readonly string[]): void {
  const cancelled = cancellationOf(activation);
  if (cancelled === undefined) return;
  leaveLines(activation, keys);
  throw cancelled;
}
