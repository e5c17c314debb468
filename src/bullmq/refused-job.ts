import {
  describeHolder,
  LockConflictError,
  type LockUnavailableError,
  type RedlockClosedError,
} from "../errors.ts";
import { nameOf } from "../job-names.ts";
import type { Waiter } from "../waiters/waiter.ts";
import type { Activation } from "./activation.ts";
import { keepsFields, sendTogether, workerOf } from "./bullmq-job.ts";
import { unrecoverableError } from "./control-errors.ts";
import { isSameJob } from "./holder.ts";
import { alarmAfter, backoff } from "./job-delay.ts";
import { readWait, timesDelayed, waitFields } from "./job-wait.ts";
import type { SkippedResult } from "./options.ts";
import { delayJob, parkJob } from "./park-job.ts";

/** Why a job has no lock. */
type Refusal = LockConflictError | LockUnavailableError | RedlockClosedError;

/** The job completes without having run: with a {@link SkippedResult}, or with what `skipResult` gives. */
export class Skipped<Result = unknown> {
  readonly result: Result;

  constructor(result: Result) {
    this.result = result;
  }
}

/**
 * Parks the job after a conflict, or delays it for a while where it cannot be woken, unless it has waited for as long as it may.
 * @throws the error that tells BullMQ that the job was delayed, or that it has waited for too long.
 */
export async function parkOrDelay(
  activation: Activation,
  waiter: Waiter | undefined,
  cause: Refusal,
): Promise<Skipped> {
  const { settings, job, keys, startableFor } = activation;
  if (startableFor === 0) return await endOld(activation, cause);
  const { maxWait, engine, ttl } = settings;
  const times = timesDelayed(job);
  const conflict = cause instanceof LockConflictError ? cause : undefined;
  const isParked = conflict !== undefined && waiter !== undefined;
  const fraction = engine.random.fraction();
  const limit = activation.limits?.[keys.indexOf(conflict?.key ?? "")] ?? 1;
  // @protection a parked job wakes by itself
  let ms = isParked
    ? alarmAfter(conflict, limit, ttl, fraction)
    : backoff(times, conflict?.retryAfter, fraction);
  const since = (times === 0 ? undefined : await startOfWait(activation)) ?? engine.clock.wall();
  if (maxWait !== undefined) {
    const left = maxWait - (engine.clock.wall() - since);
    if (left > 0) ms = Math.min(ms, Math.ceil(left));
    else if (!isSameJob(job, conflict?.holder)) {
      cause.message += `; the job has waited ${maxWait - left} ms, and maxWait is ${maxWait} ms`;
      return await end(activation, { reason: "max-wait", error: cause, conflict });
    }
  }
  ms = Math.min(ms, Math.ceil(startableFor));
  const fields = keepsFields(job) ? waitFields(job, since, keys) : undefined;
  // A job that is delayed a thousand times gets eleven lines in its log.
  const isMilestone = (times & (times - 1)) === 0;
  if (isMilestone) sendTogether(workerOf(job));
  const logged = isMilestone
    ? activation.log(`${cause.message}; ${isParked ? "parked" : `retry in ${ms} ms`}`)
    : undefined;
  const request = { keys, delay: ms, fields, logged };
  if (isParked) throw await parkJob(activation, waiter, request);
  const reason = conflict === undefined ? "unavailable" : "conflict";
  throw (await delayJob(activation, { ...request, reason })).error;
}

/** When the wait began. Without `maxWait` only a measure depends on it, so a queue that does not answer fails no job. */
async function startOfWait({
  settings: { maxWait },
  job,
}: Activation): Promise<number | undefined> {
  const since = readWait(job).then(({ waitingSince }) => waitingSince);
  return await (maxWait === undefined ? since.catch(() => undefined) : since);
}

/**
 * Ends a job that is too old to start.
 * @throws the error that fails it for good, unless `onMaxWait` is `"skip"`.
 */
export async function endOld(activation: Activation, cause?: Refusal): Promise<Skipped> {
  const { age, settings } = activation;
  const text = `the job is ${Math.floor(age)} ms old, and maxAge is ${settings.maxAge} ms`;
  const old = new Error(text, { cause });
  // A retry is older still.
  const error = unrecoverableError(Object.assign(old, { code: "ERR_REDLOCK_MAX_AGE" as const }));
  const conflict = cause instanceof LockConflictError ? cause : undefined;
  return await end(activation, { reason: "max-age", error, conflict });
}

/** Applies `onMaxWait`. */
async function end(
  activation: Activation,
  {
    reason,
    error,
    conflict,
  }: {
    readonly reason: "max-wait" | "max-age";
    readonly error: Error;
    readonly conflict: LockConflictError | undefined;
  },
): Promise<Skipped> {
  activation.leave();
  if (activation.settings.onMaxWait === "fail") return await fail(activation, error);
  if (conflict !== undefined) return await skip(activation, conflict, reason);
  emitSkipped(activation, reason);
  await activation.log(`${error.message}; skipped`);
  const [key = ""] = activation.keys;
  return new Skipped<SkippedResult>({ skipped: true, reason, key, holder: null });
}

/** Completes a job that is not to run because of a conflict. */
export async function skip(
  activation: Activation,
  conflict: LockConflictError,
  reason: SkippedResult["reason"],
): Promise<Skipped> {
  const { settings, job } = activation;
  emitSkipped(activation, reason);
  await activation.log(
    reason === "superseded"
      ? `superseded by ${describeHolder(conflict.holder)}; skipped`
      : `${conflict.message}; skipped`,
  );
  if (settings.skipResult !== undefined) {
    return new Skipped(await settings.skipResult(job, conflict));
  }
  const holder = conflict.reserved ? null : describeHolder(conflict.holder);
  return new Skipped<SkippedResult>({ skipped: true, reason, key: conflict.key, holder });
}

/** Fails the job, which says so in its log. @throws the cause. */
export async function fail(activation: Activation, cause: Error): Promise<never> {
  await activation.log(`${cause.message}; failed`);
  throw cause;
}

function emitSkipped({ settings, job, keys }: Activation, reason: SkippedResult["reason"]): void {
  settings.engine.events.emit("skipped", { keys, job: nameOf(job), queue: job.queueName, reason });
}
