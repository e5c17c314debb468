import type { Job } from "bullmq";
import { type JobFields, readField } from "./job-worker.ts";

/**
 * Since when a job has been waiting for its key: for `maxWait`, and for `waited` of the event `acquired`.
 *
 * It lies in a field of its own in the hash of the job, written in the same step that puts the job aside: so every
 * process sees it, it survives restarts, and it goes away with the job. BullMQ does not look at it.
 */
const FIELD = "redlock:waiting";

/** What is stored, as JSON. */
interface WaitRecord {
  /** When the job was first put aside, in ms since 1970. */
  since: number;
  /** Which run it was that put the job aside last. */
  run: number;
}

/** When the wait of a job began, in ms since 1970; `undefined` when it begins now. */
export async function waitingSince(job: Job): Promise<number | undefined> {
  const record = await readField(job, FIELD);
  // A run in between had the key, or failed: this is another wait.
  return isRecord(record) && record.run === runOf(job) - 1 ? record.since : undefined;
}

/** What to write when the job is put aside once more. */
export function waitFields(job: Job, since: number): JobFields {
  const record: WaitRecord = { since, run: runOf(job) };
  return { [FIELD]: JSON.stringify(record) };
}

/** Counts the runs of a job; one that was killed and its repetition are the same. */
function runOf(job: Job): number {
  return (job.attemptsStarted ?? 0) - (job.stalledCounter ?? 0);
}

function isRecord(value: unknown): value is WaitRecord {
  return (
    typeof value === "object" &&
    value !== null &&
    "since" in value &&
    typeof value.since === "number" &&
    "run" in value &&
    typeof value.run === "number"
  );
}
