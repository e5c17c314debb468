import type { Job } from "bullmq";
import { nameOf } from "../job-names.ts";
import { closingOf } from "./closing.ts";
import { JobBeat } from "./job-beat.ts";
import { JobLog } from "./job-log.ts";
import { workerOf } from "./job-worker.ts";
import { openHome } from "./open-home.ts";
import { isReplacing, type LockSettings } from "./options.ts";
import { retireWith } from "./retire.ts";
import { standingOf } from "./standing.ts";
import type { Standing } from "../line/place.ts";
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
  readonly beat: JobBeat;
  readonly log: JobLog;
  /** The job's standing in lines; `undefined` where its queue cannot have jobs woken. */
  readonly standing: Standing | undefined;
}

/** Begins an activation; its beat must be started, and stopped. */
export async function activate(
  settings: LockSettings,
  job: Job,
  jobToken: string | undefined,
  cancel: AbortSignal | undefined,
): Promise<Activation> {
  const worker = workerOf(job);
  retireWith(settings.redlock, worker);
  const home = await openHome(settings.redlock, job);
  if (home !== undefined) settings.redlock.line.isServed(home);
  warnOfMismatches(settings, job);
  const { parkedJobs } = settings.redlock;
  if (!parkedJobs.isEmpty) parkedJobs.delete(nameOf(job));
  return {
    settings,
    job,
    jobToken,
    cancel,
    closing: closingOf(worker),
    beat: new JobBeat(job, jobToken, settings.redlock.clock),
    log: new JobLog(job, settings.redlock, settings.jobLogs),
    standing: home === undefined ? undefined : standingOf(job, home, isReplacing(settings)),
  };
}
