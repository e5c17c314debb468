import type { Job } from "bullmq";
import type { LockLostError } from "../errors.ts";
import type { JobFields } from "./job-worker.ts";

/** How often in a row a job that lost its lock is put back; then it fails. Three exceeds any ordinary row of deploys or stalls. */
export const MOST_LOSSES = 3;

/** Marks the entries in the job's list of stack traces that used no attempt. */
const PUT_BACK = "[lock] put back without using an attempt";

/**
 * How often in a row the job was put back because it lost its lock.
 *
 * The count is kept as entries in the job's `stacktrace`, where BullMQ keeps those of failed attempts: each process sees
 * it, and so do people. An attempt that failed ends the row.
 */
export function lossesOf({ stacktrace }: Job): number {
  const traces = stacktrace ?? [];
  const others = traces.findLastIndex((trace) => !trace.endsWith(PUT_BACK));
  return traces.length - 1 - others;
}

/** What to write when the job is put back once more. */
export function lossFields(job: Job, loss: LockLostError): JobFields {
  const trace = `${loss.stack ?? String(loss)}\n${PUT_BACK}`;
  return { stacktrace: JSON.stringify([...(job.stacktrace ?? []), trace]) };
}
