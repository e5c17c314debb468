import type { Job } from "bullmq";
import type { LockLostError } from "../errors.ts";
import { quoteKeys } from "../sentences.ts";
import type { Lock } from "../lock/lock.ts";
import { within } from "../pause.ts";
import type { InternalLock } from "../redlock/internal-lock.ts";
import { inScope } from "../redlock/scopes.ts";
import { acquireLock } from "./acquire-lock.ts";
import { type Activation, activate } from "./activation.ts";
import { isControlError } from "./control-errors.ts";
import { provideLock } from "./job-lock.ts";
import { cancelledError, JobSignal } from "./job-signal.ts";
import { positionWhenDone } from "./job-waiter.ts";
import { asksFor, type JobLocks } from "./job-locks.ts";
import type { LockSettings } from "./lock-settings.ts";
import { Skipped } from "./refused-job.ts";
import { afterLoss, type Outcome } from "./on-loss.ts";

/** How often a job asks for its keys before a lock that has ended at once counts as lost: its ttl may be too short for its process. */
const MOST_TRIES = 3;
/** Most milliseconds that a job waits until the next waiter is woken. */
const LONGEST_WAKE = 500;

/** The user's processor. */
export type LockedProcessor = (
  job: Job,
  jobToken: string,
  signal: AbortSignal,
  lock: Lock,
) => Promise<unknown>;

/**
 * Whether a processor takes a signal, by the parameters that it declares, as BullMQ decides it. One that declares none may take all
 * of them as a rest.
 */
function takesSignal({ length }: LockedProcessor): boolean {
  return length === 0 || length > 2;
}

/** Runs a processor under the lock of its job: from the key to the release, and to the outcome of the job. */
export async function runLocked(
  locks: JobLocks,
  job: Job,
  jobToken: string | undefined,
  cancel: AbortSignal | undefined,
  processor: LockedProcessor,
): Promise<unknown> {
  const activation = await activate(locks, job, jobToken, cancel);
  const { renewal, context, settings } = activation;
  const freeSlot = context.slots.take();
  renewal.start();
  try {
    let lock: InternalLock;
    let settled: Settled | undefined;
    let tries = 0;
    do {
      const acquired = await acquireLock(activation);
      if (acquired instanceof Skipped) return acquired.result;
      lock = acquired;
      tries += 1;
      settled = await runProcessor(activation, lock, processor, tries === MOST_TRIES);
      if (settled === undefined) await lock.release();
    } while (settled === undefined);
    freeSlot();
    // Even a lost lock is released only after the processor has settled: the next holder would run beside it.
    await release(activation, lock, settled);
    const loss = lossThatCounts(settings, settled);
    if (loss !== undefined) throw await afterLoss(activation, lock, loss, settled.outcome);
    return resultOf(settled);
  } finally {
    freeSlot();
    renewal.stop();
  }
}

/** How a processor settled, and what happened to its lock and its job until then. */
interface Settled {
  readonly outcome: Outcome;
  readonly loss: LockLostError | undefined;
  /** The later job that asked this one to stop. */
  readonly cancelledBy: string | undefined;
}

/**
 * @param isLast whether a lock that has ended before the job could begin counts as lost.
 * @returns `undefined` for such a lock, if it does not count.
 */
async function runProcessor(
  activation: Activation,
  lock: InternalLock,
  processor: LockedProcessor,
  isLast: boolean,
): Promise<Settled | undefined> {
  const { settings, job, jobToken, waiter } = activation;
  const { maxHold, engine } = settings;
  if (logsLock(settings, lock)) await activation.log(`acquired ${describe(lock)}`);
  // Another job that was granted its lock in the same step may have blocked the process since.
  if (!isLast && lock.keys.length > 0 && !lock.held) return undefined;
  const jobSignal = new JobSignal(activation, lock, takesSignal(processor));
  const limit =
    maxHold === undefined
      ? undefined
      : engine.clock.timer(maxHold, () => lock.lose("held-too-long"));
  const withdraw = provideLock(job, lock, engine);
  // From now on the keys are kept for the job if its process dies.
  if (waiter?.keepsRetries === true && lock.keys.length > 0) lock.extend().catch(() => undefined);
  let outcome: Outcome;
  try {
    const { cancelled } = activation;
    if (cancelled !== undefined) throw cancelled;
    if (lock.keys.length > 0) lock.assertHeld();
    // Absent only where it is not taken.
    const signal = jobSignal.signal as AbortSignal;
    const value = await inScope(lock, () => processor(job, jobToken ?? "", signal, lock));
    outcome = { kind: "returned", value };
  } catch (error) {
    outcome = { kind: "threw", error };
  }
  const { loss, cancelledBy } = jobSignal;
  jobSignal.end();
  withdraw();
  engine.clock.clearTimer(limit);
  return { outcome, loss, cancelledBy };
}

/** Releases the lock, and wakes the next waiter before the job ends: its job is then the next that the worker finds. */
async function release(
  activation: Activation,
  lock: InternalLock,
  settled: Settled,
): Promise<void> {
  const { settings, waiter, job } = activation;
  const { outcome, loss } = settled;
  const { minHold, engine } = settings;
  const returned = outcome.kind === "returned";
  const succeeded = returned && loss === undefined;
  const holdFor = succeeded ? Math.max(0, Math.round(minHold - lock.age)) : 0;
  const completes = succeeded || (returned && settings.onLost === "continue");
  const supersedes = completes && waiter?.replaceable === true;
  const done = supersedes ? positionWhenDone(job, waiter, engine.clock.wall()) : "";
  const keepsRetry = waiter?.keepsRetries === true && runsAgain(activation, settled);
  const releasing = finishRelease(activation, lock, lock.releaseAfter(holdFor, done, keepsRetry));
  // The next job is woken, and its request will find the release on the masters: nothing waits for their answers.
  if (succeeded && lock.wokeNext) engine.awaitAtClose(releasing);
  else await releasing;
}

async function finishRelease(
  activation: Activation,
  lock: InternalLock,
  releasing: Promise<"released" | "expired">,
): Promise<void> {
  const { settings } = activation;
  const released = await releasing;
  const { handedOver } = lock;
  if (handedOver !== undefined) await within(settings.engine.clock, handedOver, LONGEST_WAKE);
  if (logsLock(settings, lock)) await activation.log(`${released} ${describe(lock)}`);
}

/** Whether the job is likely to run again with its keys. Where it does not after all, the next check of its keys finds out. */
function runsAgain({ settings, job, keys }: Activation, settled: Settled): boolean {
  const { outcome, cancelledBy } = settled;
  if (steers(outcome) || cancelledBy !== undefined) return false;
  const loss = lossThatCounts(settings, settled);
  if (loss === undefined && outcome.kind === "returned") return false;
  // Its processor may have changed its data.
  if (!asksFor(settings, job, keys)) return false;
  if (loss !== undefined && loss.reason !== "held-too-long" && settings.onLost === "delay") {
    return true;
  }
  return (job.attemptsMade ?? 0) + 1 < (job.opts?.attempts ?? 1);
}

function logsLock({ jobLogs }: LockSettings, { keys }: Lock): boolean {
  return jobLogs === "all" && keys.length > 0;
}

function describe({ keys, fencingToken }: Lock): string {
  return `${quoteKeys(keys)} with fencing token ${fencingToken}`;
}

/** The loss, unless the outcome of the processor stands all the same. */
function lossThatCounts(
  { onLost }: LockSettings,
  { outcome, loss }: Settled,
): LockLostError | undefined {
  return onLost === "continue" || steers(outcome) ? undefined : loss;
}

/** Returns or throws as the processor did. */
function resultOf({ outcome, cancelledBy }: Settled): unknown {
  if (outcome.kind === "returned") return outcome.value;
  const { error } = outcome;
  if (cancelledBy !== undefined && !steers(outcome)) throw cancelledError(cancelledBy, error);
  // BullMQ fails on null and undefined, and would leave the job active until it stalls.
  throw error ?? new Error(`the processor threw ${String(error)}`);
}

/** Whether the processor threw an error to steer BullMQ. */
function steers(outcome: Outcome): boolean {
  return outcome.kind === "threw" && isControlError(outcome.error);
}
