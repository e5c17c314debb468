import type { Job } from "bullmq";
import type { Holder } from "../errors.ts";
import { hostName } from "../host-name.ts";
import { storedTextOf } from "../redlock/holder.ts";
import { formatJobText, isTextOf } from "../redlock/job-text.ts";

/** Describes a job as the holder of a key. */
export function describeAsHolder(job: Job): string {
  const attempt = (job.attemptsMade ?? 0) + 1;
  return formatJobText(job, { attempt, host: hostName(), pid: process.pid });
}

/** Whether another run of the same job holds a key. */
export function isSameJob(job: Job, holder: Holder | undefined): boolean {
  return isTextOf(job, storedTextOf(holder));
}
