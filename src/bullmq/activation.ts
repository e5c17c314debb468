import type { Job } from "bullmq";
import { nameOf } from "../job-names.ts";
import { closingOf } from "./closing.ts";
import { JobLockRenewal } from "./job-lock-renewal.ts";
import { JobLog } from "./job-log.ts";
import { workerOf } from "./job-worker.ts";
import { openQueue } from "./open-queue.ts";
import { isReplacing, type LockSettings } from "./options.ts";
import { retireWith } from "./retire.ts";
import { waiterOf } from "./job-waiter.ts";
import type { Waiter } from "../waiters/waiter.ts";
import { warnOfMismatches } from "./warn-mismatches.ts";

/** One time that a worker took a job up. */
export interface Activation {
  readonly settings: LockSettings;
  readonly job: Job;
  readonly jobToken: string | undefined;
  /** BullMQ's signal: the job was cancelled. */
  readonly cancel: AbortSignal | undefined;
  /** Aborts when the worker begins to close. */
  readonly closing: AbortSignal;
  readonly renewal: JobLockRenewal;
  readonly log: JobLog;
  /** The job's standing in lines; `undefined` where its queue cannot have jobs woken. */
  readonly waiter: Waiter | undefined;
}

/** Begins an activation; its beat must be started, and stopped. */
export async function activate(
  settings: LockSettings,
  job: Job,
  jobToken: string | undefined,
  cancel: AbortSignal | undefined,
): Promise<Activation> {
  const worker = workerOf(job);
  retireWith(settings.engine, worker);
  const queueId = await openQueue(settings.engine, job);
  if (queueId !== undefined) settings.engine.waitLists.isServed(queueId);
  warnOfMismatches(settings, job);
  const { parkedJobs } = settings.engine;
  if (!parkedJobs.isEmpty) parkedJobs.delete(nameOf(job));
  return {
    settings,
    job,
    jobToken,
    cancel,
    closing: closingOf(worker),
    renewal: new JobLockRenewal(job, jobToken, settings.engine.clock),
    log: new JobLog(job, settings.engine, settings.jobLogs),
    waiter: queueId === undefined ? undefined : waiterOf(job, queueId, isReplacing(settings)),
  };
}
