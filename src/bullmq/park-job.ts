import type { Job } from "bullmq";
import type { RedlockEvents } from "../events.ts";
import { nameOf } from "../job-names.ts";
import { after, pause } from "../pause.ts";
import type { Waiter } from "../waiters/waiter.ts";
import type { Activation } from "./activation.ts";
import {
  DEFAULT_LOCK_DURATION,
  failNextTime,
  isGone,
  type JobFields,
  lockDurationOf,
  moveToDelayed,
} from "./bullmq-job.ts";
import { delayedError } from "./control-errors.ts";
import { timesDelayed } from "./job-wait.ts";

/** How many ms after the move the worker has finished an activation, and the job may be taken up again. */
const SETTLING = 5;

/**
 * A job that was parked so many ms after it joined joins again: its reservation may have passed by when it was still active. Below that,
 * `wakeups.ts` wakes it again, for 155 ms in all.
 */
const LATE = 150;

/** After how many ms a job joins again that too few masters have registered. */
const REJOINING = 1_000;

/** Pauses between two tries to delay a job, in ms: doubled each time, up to the longest. */
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 1_000;

/** How many ms a job stays at least with a worker whose clock is ahead: for that worker every delayed job is due. */
const SHORTEST_STAY = 1_000;

/** How a job is delayed. */
interface DelayRequest {
  readonly keys: readonly string[];
  readonly reason: RedlockEvents["parked"][0]["reason"];
  /** Whole milliseconds. */
  readonly delay: number;
  /** The fields that are written into the hash of the job in the same step. */
  readonly fields?: JobFields | undefined;
  /** A write that runs beside the move: a job that is cancelled before its end is not parked. */
  readonly logged?: Promise<void> | undefined;
}

/**
 * Parks a job: moves it to the delayed set and puts it into the wait lists of its keys, so that it is woken when a key is
 * reserved for it.
 *
 * The job has a position since its conflict, but mostly cannot be woken as long as it is active. When it is out of its worker slot it joins
 * again, and the masters' answers show what has happened to its keys since.
 * @returns the error to throw, which tells BullMQ that the job has left the worker.
 */
export async function parkJob(
  activation: Activation,
  waiter: Waiter,
  request: Omit<DelayRequest, "reason">,
): Promise<Error> {
  const { settings, closing, job, joinedAt = -Infinity } = activation;
  const { engine } = settings;
  const tries = timesDelayed(job);
  const { moved, error } = await delayJob(activation, { ...request, reason: "conflict" });
  if (!moved) return error;
  if (engine.clock.now() - joinedAt < LATE) return error;
  // @protection a job joins when it is delayed, not before
  const joining = joinWaitLists(activation, waiter, {
    tries,
    until: engine.clock.now() + request.delay,
  });
  // The worker slot is free, and does not wait for the masters. But a worker that closes also closes the connection that wakes the job.
  if (closing.aborted) await joining;
  else engine.awaitAtClose(joining);
  return error;
}

/**
 * Joins the wait lists, each second again until a quorum has registered the job or the job has come back by itself: a conflict that
 * one master reported may have registered the job on that master alone, which may forget it.
 */
async function joinWaitLists(
  activation: Activation,
  waiter: Waiter,
  { tries, until }: { tries: number; until: number },
): Promise<void> {
  const { settings, keys, limits, closing } = activation;
  const { clock, waitLists } = settings.engine;
  const joined = await waitLists.join(waiter, keys, {
    limits,
    state: "parked",
    tries,
    heldBackFor: 2 * settings.ttl,
  });
  if (!joined.answered && !closing.aborted && clock.now() + REJOINING < until) {
    const joinAgain = (): void => void joinWaitLists(activation, waiter, { tries, until });
    after(clock, REJOINING, closing, joinAgain);
  }
  if (joined.taken && joined.replaced.length === 0) return;
  const wake = async (): Promise<void> => {
    await Promise.all([waitLists.dismiss(joined.replaced), waitLists.check(joined.free)]);
  };
  if (closing.aborted) await wake();
  else after(clock, SETTLING, closing, () => void wake());
}

/**
 * Moves the job of an activation to the delayed set, without using an attempt. A job that is cancelled before or during the
 * move ends as cancelled.
 * @returns whether it was moved, and the error to throw, which tells BullMQ that the job has left the worker.
 */
export async function delayJob(
  activation: Activation,
  request: DelayRequest,
): Promise<{ moved: boolean; error: Error }> {
  const { job, settings, context, closing } = activation;
  const { keys, reason, delay, logged } = request;
  // Nothing wakes such a job, and a time written by a fast clock comes too late for workers with a correct one: it waits here instead.
  const ahead = reason === "conflict" ? 0 : context.clockAhead;
  if (ahead > 0) {
    await pause(settings.engine.clock, Math.max(delay, SHORTEST_STAY), closing);
  }
  const { cancelled } = activation;
  if (cancelled !== undefined) {
    activation.leave();
    return { moved: false, error: cancelled };
  }
  const moved = await tryToMove(activation, ahead > 0 ? { ...request, delay: 0 } : request, ahead);
  if (moved) {
    settings.engine.noteParked({ keys, job: nameOf(job), queue: job.queueName, reason, delay });
  }
  await logged;
  const error = delayedError(`delayed for ${delay} ms: ${reason}`);
  const cancelledSince = activation.cancelled;
  if (!moved || cancelledSince === undefined) return { moved, error };
  activation.leave();
  await endDelayed(activation, cancelledSince);
  return { moved: false, error };
}

/**
 * @param ahead how many ms the clock of this process is ahead of the queue's.
 * @returns false when it is gone already, or when BullMQ will find it stalled.
 */
async function tryToMove(
  activation: Activation,
  { delay, fields }: DelayRequest,
  ahead: number,
): Promise<boolean> {
  const { job, jobToken, renewal, closing, settings } = activation;
  const { clock } = settings.engine;
  const endsAt = clock.now() + (lockDurationOf(job) ?? DEFAULT_LOCK_DURATION);
  for (let ms = FIRST_PAUSE; ; ms = Math.min(ms * 2, LONGEST_PAUSE)) {
    // A renewal that comes after the move would look like a lost job.
    renewal.stop();
    try {
      await moveToDelayed(job, jobToken, { now: clock.wall() - ahead, delay, fields });
      return true;
    } catch (error) {
      if (isGone(error)) return await isDelayed(job);
      if (closing.aborted || clock.now() + ms > endsAt) {
        const what = `could not move job ${nameOf(job)} to the delayed set, BullMQ will find it stalled`;
        activation.warn("delay-failed", what, error);
        return false;
      }
      renewal.start();
      await pause(clock, ms, closing);
    }
  }
}

/** Whether an earlier try was carried out and only its answer was lost: then the job must be woken. */
async function isDelayed(job: Job): Promise<boolean> {
  try {
    return await job.isDelayed();
  } catch {
    // Waking a job that is not there does no harm.
    return true;
  }
}

/** Ends a job that is in the delayed set already: it is taken up once more, and BullMQ fails it then. */
async function endDelayed(activation: Activation, { message }: Error): Promise<void> {
  const { job } = activation;
  try {
    if (!(await failNextTime(job, message))) return;
    await Promise.all([
      job.promote(),
      job.changePriority({ priority: job.priority ?? 0, lifo: true }),
    ]);
  } catch (cause) {
    if (isGone(cause)) return;
    const what = `job ${nameOf(job)} was cancelled while it was being delayed, and will run all the same`;
    activation.warn("cancel-failed", what, cause);
  }
}
