import type { Job } from "bullmq";
import type { Timer } from "../clock.ts";
import { LockKeyError, LockLostError } from "../errors.ts";
import { namesOf } from "../job-names.ts";
import { within } from "../pause.ts";
import type { HeldLock } from "../redlock/held-lock.ts";
import type { Activation } from "./activation.ts";
import { backoff } from "./backoff.ts";
import { cancellationOf } from "./job-cancellation.ts";
import { isControlError, unrecoverableError } from "./control-errors.ts";
import { offerLock } from "./get-lock.ts";
import { LinkedSignal } from "./linked-signal.ts";
import type { Lock } from "./lock.ts";
import { lossesOf, lossFields } from "./losses.ts";
import { acquireForJob, type JobLock } from "./acquire-for-job.ts";
import { delayJob } from "./delay-job.ts";
import { positionWhenDone } from "./job-waiter.ts";
import type { UnheldLock } from "./unheld-lock.ts";
import { cancelledError, CancelRequest } from "./cancel-request.ts";
import { quoteKeys } from "../sentences.ts";

/** Milliseconds that a job waits at most for the next one to be called. */
const LONGEST_CALL = 500;

/** The user's processor. */
export type LockedProcessor = (
  job: Job,
  jobToken: string,
  signal: AbortSignal,
  lock: Lock,
) => Promise<unknown>;

/** How a processor settled. */
type Outcome =
  | { readonly kind: "returned"; readonly value: unknown }
  | { readonly kind: "threw"; readonly error: unknown };

/** Runs a processor under the lock of its job, from the key to the release. */
export async function runLocked(
  activation: Activation,
  processor: LockedProcessor,
): Promise<unknown> {
  const { renewal } = activation;
  renewal.start();
  try {
    const acquired = await obtainByKey(activation);
    if (acquired.kind === "skipped") return acquired.result;
    return await runUnder(activation, acquired.lock, processor);
  } finally {
    renewal.stop();
  }
}

async function obtainByKey(activation: Activation): Promise<JobLock> {
  const { settings, job } = activation;
  try {
    return await acquireForJob(activation, settings.keysOf(job));
  } catch (error) {
    // The same data gives the same key: no retry mends it.
    throw error instanceof LockKeyError ? unrecoverableError(error) : error;
  }
}

async function runUnder(
  activation: Activation,
  lock: HeldLock | UnheldLock,
  processor: LockedProcessor,
): Promise<unknown> {
  const { log, settings } = activation;
  const what =
    log.isDetailed && lock.keys.length > 0
      ? `${quoteKeys(lock.keys)} with fencing token ${lock.fencingToken}`
      : undefined;
  if (what !== undefined) await log.record(`got ${what}`);
  const { outcome, loss, cancelledBy } = await settle(activation, lock, processor);
  // Not before the processor has settled, whatever was lost: the next holder would meet it still at work.
  const returned = outcome.kind === "returned";
  const released = await giveBack(activation, lock, {
    completes: returned && (loss === undefined || settings.onLost === "continue"),
    holdsOn: returned && loss === undefined,
  });
  if (what !== undefined) await log.record(`${released} ${what}`);
  const steers = outcome.kind === "threw" && isControlError(outcome.error);
  if (loss !== undefined && settings.onLost !== "continue" && !steers) {
    throw await afterLoss(activation, loss, outcome);
  }
  if (outcome.kind === "returned") return outcome.value;
  if (cancelledBy !== undefined && !steers) throw cancelledError(cancelledBy, outcome.error);
  // BullMQ fails on these, and would leave the job active until it stalls.
  throw outcome.error ?? new Error(`the processor threw ${String(outcome.error)}`);
}

/** Gives the lock back, and sees to it that the next in line is called before the worker looks for its next job. */
async function giveBack(
  { settings, waiter, job }: Activation,
  lock: HeldLock | UnheldLock,
  { completes, holdsOn }: { completes: boolean; holdsOn: boolean },
): Promise<"released" | "expired"> {
  const holdFor = holdsOn ? Math.max(0, Math.round(settings.minHold - lock.age)) : 0;
  const replaces = completes && waiter?.replaceable === true;
  const done = replaces ? positionWhenDone(job, waiter, settings.engine.clock.wall()) : "";
  const released = await lock.releaseAfter(holdFor, done);
  const { handedOver } = lock;
  if (handedOver !== undefined) await within(settings.engine.clock, handedOver, LONGEST_CALL);
  return released;
}

interface Settled {
  readonly outcome: Outcome;
  readonly loss: LockLostError | undefined;
  /** Who asked the job to give way. */
  readonly cancelledBy: string | undefined;
}

async function settle(
  activation: Activation,
  lock: HeldLock | UnheldLock,
  processor: LockedProcessor,
): Promise<Settled> {
  const { job, jobToken, cancel, renewal } = activation;
  const jobLoss = noticeJobLoss(activation, lock);
  const yielding = new CancelRequest(activation, lock);
  const stop = new LinkedSignal()
    .follow(cancel)
    .follow(lock.lost)
    .follow(renewal.lost, jobLoss)
    .follow(yielding.asked);
  const withdraw = offerLock(job, lock);
  const limit = limitHold(activation, lock);
  try {
    const outcome = await outcomeOf(async () => {
      const cancelled = cancellationOf(activation);
      if (cancelled !== undefined) throw cancelled;
      return await processor(job, jobToken ?? "", stop.signal, lock);
    });
    // In this very tick, and before the release: later nobody can tell.
    const loss = lossOf(lock) ?? (renewal.lost.aborted ? jobLoss() : undefined);
    return { outcome, loss, cancelledBy: yielding.cancelledBy };
  } finally {
    activation.settings.engine.clock.clearTimer(limit);
    yielding.end();
    withdraw();
    stop.unlink();
  }
}

function limitHold(
  { settings: { maxHold, engine } }: Activation,
  lock: HeldLock | UnheldLock,
): Timer | undefined {
  if (maxHold === undefined) return undefined;
  return engine.clock.timer(maxHold, () => lock.lose("held-too-long"));
}

async function outcomeOf(run: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { kind: "returned", value: await run() };
  } catch (error) {
    return { kind: "threw", error };
  }
}

function lossOf(lock: HeldLock | UnheldLock): LockLostError | undefined {
  try {
    lock.assertNotLost();
    return undefined;
  } catch (error) {
    return error as LockLostError;
  }
}

/** Makes, once, the error that says that BullMQ's lock of the job was lost. */
function noticeJobLoss(
  { settings, job }: Activation,
  { keys, fencingToken }: Lock,
): () => LockLostError {
  const { clock } = settings.engine;
  const startedAt = clock.now();
  let loss: LockLostError | undefined;
  return () => {
    if (loss === undefined) {
      const heldFor = clock.now() - startedAt;
      loss = new LockLostError({ keys, reason: "job-lock-lost", fencingToken, heldFor });
      settings.engine.events.emit("lost", {
        keys,
        fencingToken,
        error: loss,
        ...namesOf(job),
      });
    }
    return loss;
  };
}

/** What to throw for a processor that settled when its lock was lost. */
async function afterLoss(
  activation: Activation,
  loss: LockLostError,
  outcome: Outcome,
): Promise<Error> {
  const { settings, job, log } = activation;
  if (outcome.kind === "threw" && !isAbout(outcome.error, loss)) loss.cause = outcome.error;
  const losses = lossesOf(job);
  // Put back, it would only be held too long again.
  const forGood = settings.onLost === "fail" || loss.reason === "held-too-long";
  // Who stops a program is no fault of the job.
  const isClosed = loss.reason === "closed";
  if (forGood || (losses >= settings.maxLost && !isClosed)) {
    await log.trouble(`${loss.message}; failed`);
    return loss;
  }
  const delay = backoff(losses, undefined, settings.engine.random.fraction());
  await log.trouble(`${loss.message}; put back, retry in ${delay} ms`);
  const fields = isClosed ? undefined : lossFields(job, loss);
  return (await delayJob(activation, { keys: loss.keys, reason: "lost", delay, fields })).error;
}

/** Whether the processor threw the loss itself, bare or wrapped, as it finds it in its signal. */
function isAbout(thrown: unknown, loss: LockLostError): boolean {
  return thrown === loss || (thrown instanceof Error && thrown.cause === loss);
}
