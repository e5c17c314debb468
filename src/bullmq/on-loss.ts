import type { Lock } from "../lock/lock.ts";
import type { Job } from "bullmq";
import type { LockLostError, LossReason } from "../errors.ts";
import { reasonOfRemoval } from "../redlock/force-release.ts";
import type { Activation } from "./activation.ts";
import type { JobFields } from "./bullmq-job.ts";
import { backoff } from "./job-delay.ts";
import { delayJob } from "./park-job.ts";

/** How a processor settled. */
export type Outcome =
  | { readonly kind: "returned"; readonly value: unknown }
  | { readonly kind: "threw"; readonly error: unknown };

/** How often in a row a job that lost its lock is delayed without using an attempt; the next loss fails it. */
const MOST_LOSSES = 3;

/** Ends the entries in the job's list of stack traces that used no attempt. */
const LOSS_LINE = "[lock] delayed without using an attempt";

/**
 * How the loss of a lock that an operator has removed shows: with masters down, the first one that denies it ends its validity, and
 * a process that was suspended finds it ended.
 */
const MAY_BE_REMOVED: ReadonlySet<LossReason> = new Set(["taken", "expired", "blocked"]);

/** Makes what to throw for a processor that settled after its lock was lost. */
export async function afterLoss(
  activation: Activation,
  lock: Lock,
  loss: LockLostError,
  outcome: Outcome,
): Promise<Error> {
  const { settings, job } = activation;
  if (outcome.kind === "threw" && !isAbout(outcome.error, loss)) loss.cause = outcome.error;
  const { engine } = settings;
  const removal = MAY_BE_REMOVED.has(loss.reason) ? await reasonOfRemoval(engine, lock) : undefined;
  const what =
    removal === undefined ? loss.message : `${loss.message}; removed by force (${removal})`;
  const losses = lossesOf(job);
  // A job that held its lock for too long would hold it for too long again.
  const forGood = settings.onLost === "fail" || loss.reason === "held-too-long";
  // The end of a program is not the job's failure.
  const isClosed = loss.reason === "closed";
  if (forGood || (losses >= MOST_LOSSES && !isClosed)) {
    const inRow =
      forGood || losses === 0 ? "" : ` after ${losses} losses in a row without an attempt`;
    await activation.log(`${what}; failed${inRow}`);
    return loss;
  }
  const delay = backoff(losses, undefined, engine.random.fraction());
  await activation.log(`${what}; delayed without using an attempt, retry in ${delay} ms`);
  const fields = isClosed ? undefined : lossFields(job, loss);
  return (await delayJob(activation, { keys: loss.keys, reason: "lost", delay, fields })).error;
}

/**
 * How often in a row the job was delayed because it lost its lock.
 *
 * The count is kept as entries in the job's `stacktrace`, where BullMQ keeps those of failed attempts: each process sees it, and
 * so do people. An attempt that failed ends the row.
 */
export function lossesOf({ stacktrace }: Job): number {
  const traces = stacktrace ?? [];
  const others = traces.findLastIndex((trace) => !trace.endsWith(LOSS_LINE));
  return traces.length - 1 - others;
}

/** The fields to write when the job is delayed once more after a loss. */
export function lossFields(job: Job, loss: LockLostError): JobFields {
  const trace = `${loss.stack ?? String(loss)}\n${LOSS_LINE}`;
  return { stacktrace: JSON.stringify([...(job.stacktrace ?? []), trace]) };
}

/** Whether the processor threw the loss itself, bare or wrapped, as it finds it in its signal. */
function isAbout(thrown: unknown, loss: LockLostError): boolean {
  return thrown === loss || (thrown instanceof Error && thrown.cause === loss);
}
