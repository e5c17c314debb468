import type { Job } from "bullmq";
import { LockKeyError, type LockLostError } from "../errors.ts";
import { quoteKeys } from "../sentences.ts";
import type { Lock } from "../lock/lock.ts";
import { within } from "../pause.ts";
import type { InternalLock } from "../redlock/internal-lock.ts";
import { inScope } from "../redlock/scopes.ts";
import { type Activation, activate } from "./activation.ts";
import { isControlError, unrecoverableError } from "./control-errors.ts";
import { describeAsHolder } from "./holder.ts";
import { setLock, UnheldLock } from "./job-lock.ts";
import { cancelledError, JobSignal } from "./job-signal.ts";
import { joinCrowd } from "./join-crowd.ts";
import { readWait, timesDelayed } from "./job-wait.ts";
import { positionWhenDone } from "./job-waiter.ts";
import { type LockSettings, mayPark, strictWithLimit } from "./lock-settings.ts";
import { afterRefusal, Attempt } from "./on-conflict.ts";
import { endOld, parkOrDelay, Skipped } from "./refused-job.ts";
import { afterLoss, type Outcome } from "./on-loss.ts";

/** Most milliseconds that a job with a lock waits for the time at which its wait began. */
const LONGEST_READ = 500;
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

/** Runs a processor under the lock of its job: from the key to the release, and to the outcome of the job. */
export async function runLocked(
  settings: LockSettings,
  job: Job,
  jobToken: string | undefined,
  cancel: AbortSignal | undefined,
  processor: LockedProcessor,
): Promise<unknown> {
  const activation = await activate(settings, job, jobToken, cancel);
  const { renewal, context } = activation;
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

/** Asks for the keys of the job, as often as its policies say. */
async function acquireLock(activation: Activation): Promise<InternalLock | Skipped> {
  const { context, settings, job, waiter } = activation;
  try {
    const found = settings.keysOf(job);
    if (found === null) return new UnheldLock();
    const { keys, limits } = found;
    activation.keys = keys;
    activation.limits = limits;
    let attempt = new Attempt(waiter);
    if (settings.order === "strict" && limits !== undefined) {
      throw unrecoverableError(strictWithLimit());
    }
    if (settings.order === "strict" && waiter !== undefined) {
      const behind = await context.activeJobs.predecessorsOf(job, settings, keys, waiter);
      attempt = new Attempt({ ...waiter, behind });
    }
    const joining = joinCrowd(activation);
    const conflict = joining && (await joining);
    if (conflict !== undefined) return await parkOrDelay(activation, waiter, conflict);
    for (;;) {
      if (activation.startableFor === 0) return await endOld(activation);
      try {
        const lock = await acquireOnce(activation, attempt);
        if (activation.startableFor > 0) return lock;
        await lock.release();
      } catch (error) {
        const next = await afterRefusal(activation, attempt, error);
        if (!(next instanceof Attempt)) return next;
        attempt = next;
      }
    }
  } catch (error) {
    // The same data gives the same key: no retry helps.
    throw error instanceof LockKeyError ? unrecoverableError(error) : error;
  }
}

async function acquireOnce(
  { settings, job, keys, limits, cancel, renewal, closing, context }: Activation,
  { waiter, waitTimeout, conflict }: Attempt,
): Promise<InternalLock> {
  const { engine, onConflict } = settings;
  const options = { ...settings.lock, holder: describeAsHolder(job), waitTimeout };
  const wasDelayed = timesDelayed(job) > 0;
  // Beside the acquisition, and only for an event that has a listener.
  const since =
    wasDelayed && engine.events.hears("acquired")
      ? readWait(job).then(
          ({ waitingSince }) => waitingSince,
          () => undefined,
        )
      : undefined;
  const wanted =
    limits === undefined ? keys : keys.map((key, i) => ({ key, limit: limits[i] ?? 1 }));
  const inSlot =
    conflict === undefined || waiter === undefined ? undefined : context.slots.wait(waiter);
  const stops = conflict === undefined ? [] : [closing, ...(inSlot ? [inSlot.signal] : [])];
  const acquiring = engine.acquire(wanted, options, true, {
    job,
    ...(since === undefined ? {} : { waitingSince: since }),
    ...(waiter === undefined ? {} : { waiter }),
    listed: wasDelayed,
    // The job joins at the conflict itself: no later job comes before it, and none takes the key from a holder that it asks to stop.
    joins: onConflict === "cancelInProgress" ? "replacing" : mayPark(onConflict),
    cancel,
    stops: [renewal.lost, ...stops],
  });
  const lock = await acquiring.finally(() => inSlot?.end());
  if (since !== undefined) await within(engine.clock, since, LONGEST_READ);
  return lock;
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
  const jobSignal = new JobSignal(activation, lock);
  const limit =
    maxHold === undefined
      ? undefined
      : engine.clock.timer(maxHold, () => lock.lose("held-too-long"));
  setLock(job, lock);
  // From now on the keys are kept for the job if its process dies.
  if (waiter?.keepsRetries === true && lock.keys.length > 0) lock.extend().catch(() => undefined);
  let outcome: Outcome;
  try {
    const { cancelled } = activation;
    if (cancelled !== undefined) throw cancelled;
    if (lock.keys.length > 0) lock.assertHeld();
    const { signal } = jobSignal;
    const value = await inScope(lock, () => processor(job, jobToken ?? "", signal, lock));
    outcome = { kind: "returned", value };
  } catch (error) {
    outcome = { kind: "threw", error };
  }
  const { loss, cancelledBy } = jobSignal;
  jobSignal.end();
  setLock(job, undefined);
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
  if (succeeded && lock.wokeNext) engine.finish(releasing);
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

/** Whether the job is likely to run again. Where it does not after all, the next check of its keys finds out. */
function runsAgain({ settings, job }: Activation, settled: Settled): boolean {
  const { outcome, cancelledBy } = settled;
  if (steers(outcome) || cancelledBy !== undefined) return false;
  const loss = lossThatCounts(settings, settled);
  if (loss === undefined && outcome.kind === "returned") return false;
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
