import type { Job } from "bullmq";
import { LockKeyError, LockLostError, quoteKeys } from "../errors.ts";
import type { HeldLock } from "../redlock/held-lock.ts";
import type { Activation } from "./activation.ts";
import { backoff } from "./backoff.ts";
import { isControlError, unrecoverableError } from "./control-errors.ts";
import { offerLock } from "./get-lock.ts";
import { LinkedSignal } from "./linked-signal.ts";
import type { Lock } from "./lock.ts";
import { lossesOf, lossFields } from "./losses.ts";
import { obtain, type Obtained } from "./obtain.ts";
import { putAside } from "./put-aside.ts";
import type { UnheldLock } from "./unheld-lock.ts";

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
  const { beat } = activation;
  beat.start();
  try {
    const obtained = await obtainByKey(activation);
    if (obtained.kind === "skipped") return obtained.result;
    return await runUnder(activation, obtained.lock, processor);
  } finally {
    beat.stop();
  }
}

async function obtainByKey(activation: Activation): Promise<Obtained> {
  const { settings, job } = activation;
  try {
    return await obtain(activation, settings.keysOf(job));
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
  const what = `${quoteKeys(lock.keys)} with fencing token ${lock.fencingToken}`;
  if (lock.keys.length > 0) await log.detail(`got ${what}`);
  const { outcome, loss } = await settle(activation, lock, processor);
  // Not before the processor has settled, whatever was lost: the next holder would meet it still at work.
  const released = await lock.release();
  if (lock.keys.length > 0) await log.detail(`${released} ${what}`);
  const steers = outcome.kind === "threw" && isControlError(outcome.error);
  if (loss !== undefined && settings.onLost !== "continue" && !steers) {
    throw await afterLoss(activation, loss, outcome);
  }
  if (outcome.kind === "returned") return outcome.value;
  // BullMQ fails on these, and would leave the job active until it stalls.
  throw outcome.error ?? new Error(`the processor threw ${String(outcome.error)}`);
}

async function settle(
  activation: Activation,
  lock: HeldLock | UnheldLock,
  processor: LockedProcessor,
): Promise<{ outcome: Outcome; loss: LockLostError | undefined }> {
  const { job, jobToken, cancel, beat } = activation;
  const jobLoss = noticeJobLoss(activation, lock);
  const stop = new LinkedSignal().follow(cancel).follow(lock.signal).follow(beat.lost, jobLoss);
  const withdraw = offerLock(job, lock);
  try {
    const outcome = await outcomeOf(() => processor(job, jobToken ?? "", stop.signal, lock));
    // In this very tick, and before the release: later nobody can tell.
    return { outcome, loss: lossOf(lock) ?? (beat.lost.aborted ? jobLoss() : undefined) };
  } finally {
    withdraw();
    stop.unlink();
  }
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
  { settings }: Activation,
  { keys, fencingToken }: Lock,
): () => LockLostError {
  const startedAt = performance.now();
  let loss: LockLostError | undefined;
  return () => {
    if (loss === undefined) {
      const heldFor = performance.now() - startedAt;
      loss = new LockLostError({ keys, reason: "job lock lost", fencingToken, heldFor });
      settings.redlock.emit("lost", { keys, fencingToken, error: loss });
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
  if (settings.onLost === "fail" || losses >= settings.maxLost) {
    await log.trouble(`${loss.message}; failed`);
    return loss;
  }
  const delay = backoff(losses);
  await log.trouble(`${loss.message}; put back, retry in ${delay} ms`);
  const fields = lossFields(job, loss);
  return await putAside(activation, { keys: loss.keys, reason: "lost", delay, fields });
}

/** Whether the processor threw the loss itself, bare or wrapped, as it finds it in its signal. */
function isAbout(thrown: unknown, loss: LockLostError): boolean {
  return thrown === loss || (thrown instanceof Error && thrown.cause === loss);
}
