import type { Job } from "bullmq";
import { nameOf } from "../job-names.ts";
import type { RedlockEvents } from "../events.ts";
import { pause } from "../pause.ts";
import { printable } from "../printable.ts";
import type { Activation } from "./activation.ts";
import { cancellationOf, leaveLines } from "./job-cancellation.ts";
import { delayedError } from "./control-errors.ts";
import {
  failNextTime,
  isGone,
  type JobFields,
  lockDurationOf,
  moveToDelayed,
} from "./job-worker.ts";
import { describeValue } from "../sentences.ts";

/** Between two tries to put a job aside, in ms: doubled each time, up to the longest. */
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 1_000;
/** How long to try when the worker has no lock duration, in ms. */
const PATIENCE = 30_000;

/** How a job is put aside. */
export interface DelayRequest {
  readonly keys: readonly string[];
  readonly reason: RedlockEvents["parked"][0]["reason"];
  /** Whole milliseconds. */
  readonly delay: number;
  /** What is written into the hash of the job in the same step. */
  readonly fields?: JobFields | undefined;
  /** What is written beside: a cancel that comes before it is done is still heard. */
  readonly logged?: Promise<void> | undefined;
}

/**
 * Puts the job of an activation into the delayed set, without using an attempt. One that is cancelled before, or meanwhile,
 * ends as cancelled.
 * @returns whether it was, and the error to throw, by which BullMQ knows that the job is no longer the worker's business.
 */
export async function delayJob(
  activation: Activation,
  delayRequest: DelayRequest,
): Promise<{ moved: boolean; error: Error }> {
  const { job, settings } = activation;
  const { keys, reason, delay, logged } = delayRequest;
  const cancelled = cancellationOf(activation);
  if (cancelled !== undefined) {
    leaveLines(activation, keys);
    return { moved: false, error: cancelled };
  }
  const moved = await moveToDelayedSet(activation, delayRequest);
  if (moved) {
    const { engine } = settings;
    const [name, queue] = [nameOf(job), job.queueName];
    engine.parkedJobs.add(name, queue, delay);
    engine.events.emit("parked", { keys, job: name, queue, reason, delay });
  }
  await logged;
  const error = delayedError(`put aside for ${delay} ms: ${reason}`);
  const late = cancellationOf(activation);
  if (!moved || late === undefined) return { moved, error };
  leaveLines(activation, keys);
  await endDelayed(activation, late);
  return { moved: false, error };
}

/** Ends a job that is in the delayed set already: it is taken up once more, and BullMQ fails it then. */
async function endDelayed({ job, settings }: Activation, { message }: Error): Promise<void> {
  try {
    // One that was removed meanwhile must not come to life by what is written into it.
    if (!(await job.isDelayed())) return;
    await failNextTime(job, message);
    await Promise.all([
      job.promote(),
      job.changePriority({ priority: job.priority ?? 0, lifo: true }),
    ]);
  } catch (cause) {
    if (isGone(cause)) return;
    const why = cause instanceof Error ? cause.message : describeValue(cause);
    settings.engine.events.emit("warning", {
      code: "cancel-failed",
      message: printable(
        `job ${nameOf(job)} was cancelled while it was put aside, and runs all the same: ${why}`,
      ),
      cause,
    });
  }
}

/** True when it was moved; else it is gone, or BullMQ will find it stalled. */
async function moveToDelayedSet(
  activation: Activation,
  { delay, fields }: DelayRequest,
): Promise<boolean> {
  const { job, jobToken, renewal, closing, settings } = activation;
  const { clock } = settings.engine;
  const giveUpAt = clock.now() + (lockDurationOf(job) ?? PATIENCE);
  for (let rest = FIRST_PAUSE; ; rest = Math.min(rest * 2, LONGEST_PAUSE)) {
    // An extend that comes after the move would look like a lost job.
    renewal.stop();
    try {
      await moveToDelayed(job, jobToken, { now: clock.wall(), delay, fields });
      return true;
    } catch (error) {
      if (isGone(error)) return rest > FIRST_PAUSE && (await isDelayed(job));
      if (closing.aborted || clock.now() + rest > giveUpAt) {
        reportFailure(activation, error);
        return false;
      }
      renewal.start();
      await pause(clock, rest, closing);
    }
  }
}

/** Whether an earlier try was carried out, and only its answer was lost: then somebody must wake the job. */
async function isDelayed(job: Job): Promise<boolean> {
  try {
    return await job.isDelayed();
  } catch {
    // To call a job that is not there does no harm.
    return true;
  }
}

function reportFailure({ job, settings }: Activation, cause: unknown): void {
  const why = cause instanceof Error ? cause.message : describeValue(cause);
  const message = printable(
    `could not put job ${nameOf(job)} aside, BullMQ will find it stalled: ${why}`,
  );
  settings.engine.events.emit("warning", { code: "delay-failed", message, cause });
}
