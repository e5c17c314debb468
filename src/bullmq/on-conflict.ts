import { nameOf } from "../job-names.ts";
import {
  LockConflictError,
  type LockUnavailableError,
  type RedlockClosedError,
} from "../errors.ts";
import type { Activation } from "./activation.ts";
import { alarm, backoff, timesDelayed } from "./backoff.ts";
import { unrecoverableError } from "./control-errors.ts";
import { isSameJob } from "./holder.ts";
import { keepsFields } from "./job-worker.ts";
import type { SkippedResult } from "./options.ts";
import { parkJob } from "./park-job.ts";
import { delayJob } from "./delay-job.ts";
import { waitFields, waitingSince } from "./wait-record.ts";
import { describeHolder } from "../sentences.ts";

/** Why a job has no lock. */
type Hindrance = LockConflictError | LockUnavailableError | RedlockClosedError;

/** The job completes without having run. */
export interface Skipped {
  readonly kind: "skipped";
  readonly result: unknown;
}

/**
 * Puts the job aside until it is its turn, or for a while when nobody could call it, unless it has waited for as long as it
 * may.
 * @throws what tells BullMQ that the job was put aside, or that it waited for too long.
 */
export async function delay(
  activation: Activation,
  keys: readonly string[],
  cause: Hindrance,
): Promise<Skipped> {
  const { settings, job, log, waiter } = activation;
  const { maxWait, engine } = settings;
  const parks = timesDelayed(job);
  const conflict = cause instanceof LockConflictError ? cause : undefined;
  const inLine = conflict !== undefined && waiter !== undefined;
  const fraction = engine.random.fraction();
  const ttl = settings.lock.ttl ?? engine.settings.ttl;
  let ms = inLine
    ? alarm({ expiresIn: conflict.retryAfter, ahead: conflict.ahead, ttl }, fraction)
    : backoff(parks, conflict?.retryAfter, fraction);
  const since = (parks === 0 ? undefined : await waitOf(activation)) ?? engine.clock.wall();
  if (maxWait !== undefined) {
    const left = maxWait - (engine.clock.wall() - since);
    if (left > 0) ms = Math.min(ms, Math.ceil(left));
    else if (!isSameJob(job, conflict?.holder)) return await endWait(activation, keys, cause);
  }
  const fields = keepsFields(job) ? waitFields(job, since) : undefined;
  const logged = isMilestone(parks)
    ? log.trouble(`${cause.message}; ${inLine ? "waits for its turn" : `retry in ${ms} ms`}`)
    : undefined;
  const delayRequest = { keys, delay: ms, fields, logged };
  throw inLine
    ? await parkJob(activation, { ...delayRequest, tries: parks })
    : (await delayJob(activation, { ...delayRequest, reason: reasonOf(conflict) })).error;
}

/** Where nothing but a measure depends on it, a queue that does not answer is no reason to fail the job. */
async function waitOf({ settings: { maxWait }, job }: Activation): Promise<number | undefined> {
  const since = waitingSince(job);
  return await (maxWait === undefined ? since.catch(() => undefined) : since);
}

/** Makes the error that fails the job. */
export async function refuse({ settings, log }: Activation, cause: Hindrance): Promise<Error> {
  await log.trouble(`${cause.message}; failed`);
  const forGood = settings.unrecoverable && cause instanceof LockConflictError;
  return forGood ? unrecoverableError(cause) : cause;
}

/** Makes the result of a job that is not to run because of a conflict. */
export async function skip(
  activation: Activation,
  conflict: LockConflictError,
  reason: SkippedResult["reason"],
): Promise<Skipped> {
  const { settings, job, log } = activation;
  tellSkipped(activation, conflict.keys, reason);
  await log.trouble(
    reason === "superseded"
      ? `superseded by ${describeHolder(conflict.holder)}; skipped`
      : `${conflict.message}; skipped`,
  );
  if (settings.skipResult !== undefined) {
    return { kind: "skipped", result: await settings.skipResult(job, conflict) };
  }
  const holder = conflict.reserved ? null : describeHolder(conflict.holder);
  return skipped({ skipped: true, reason, key: conflict.key, holder });
}

async function endWait(
  activation: Activation,
  keys: readonly string[],
  cause: Hindrance,
): Promise<Skipped> {
  const { settings, log, waiter } = activation;
  if (waiter !== undefined) void settings.engine.waitLists.leave(waiter, keys);
  if (settings.onMaxWait === "fail") throw await refuse(activation, cause);
  if (cause instanceof LockConflictError) return await skip(activation, cause, "max-wait");
  tellSkipped(activation, keys, "max-wait");
  await log.trouble(`${cause.message}; skipped`);
  return skipped({ skipped: true, reason: "max-wait", key: keys[0] ?? "", holder: null });
}

function tellSkipped(
  { settings, job }: Activation,
  keys: readonly string[],
  reason: SkippedResult["reason"],
): void {
  settings.engine.events.emit("skipped", { keys, job: nameOf(job), queue: job.queueName, reason });
}

function skipped(result: SkippedResult): Skipped {
  return { kind: "skipped", result };
}

function reasonOf(conflict: LockConflictError | undefined): "conflict" | "unavailable" {
  return conflict === undefined ? "unavailable" : "conflict";
}

/** A job that is put aside a thousand times has eleven lines about it in its log. */
function isMilestone(times: number): boolean {
  return (times & (times - 1)) === 0;
}
