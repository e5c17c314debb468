import type { Job } from "bullmq";
import { type JobFields, readField } from "./bullmq-job.ts";

/** How often a job was moved to the delayed set, by any process: the activations that were neither attempts nor stalls. */
export function timesDelayed(job: Partial<Job>): number {
  return Math.max(0, runsWithoutAttempt(job) - 1);
}

/** Whether a job was delayed and has not failed; a job that was delayed before it failed counts too. */
export function isUnderWay(job: Partial<Job>): boolean {
  return runsWithoutAttempt(job) > 0;
}

/** Counts the last run as one. A job that a program has made by hand has none. */
function runsWithoutAttempt(job: Partial<Job>): number {
  const { attemptsStarted = 0, attemptsMade = 0, stalledCounter = 0 } = job;
  return attemptsStarted - attemptsMade - stalledCounter;
}

/** When a job is due in its queue, in ms since 1970. */
export function dueAt({ timestamp, opts }: Job): number {
  return timestamp + (opts.delay ?? 0);
}

/**
 * The field in the hash of a job that keeps since when the job waits, and for which keys: for `maxWait`, for `waited` of the event
 * `acquired`, and for pages that show the job. It is written in the step that delays the job: every process sees it, it survives
 * restarts, and it ends with the job.
 */
export const WAIT_FIELD = "redlock:waiting";

/** What is stored, as JSON. */
interface WaitRecord {
  /** When the job was first delayed, in ms since 1970. */
  since: number;
  /** The run that delayed the job last. */
  run: number;
  /** The keys that the job waits for. */
  keys: readonly string[];
}

/** What a job stores about its wait for locks. */
interface JobWait {
  /** The keys that the job last waited for; empty for none, and where they cannot be stored. */
  readonly keys: readonly string[];
  /** When the wait of a job began that is not active, in ms since 1970; `undefined` when its last run did not delay it. */
  readonly parkedSince: number | undefined;
  /** When the wait of an active job began, in ms since 1970; `undefined` when it begins now: a run in between had the key, or failed. */
  readonly waitingSince: number | undefined;
}

/** Reads what a job stores about its wait. @throws what the connection of the queue throws. */
export async function readWait(job: Job): Promise<JobWait> {
  return toWait(job, await readField(job, WAIT_FIELD));
}

/** As {@link readWait}, from the {@link WAIT_FIELD} of the job. */
export function parseWait(job: Job, field: string): JobWait {
  return toWait(job, JSON.parse(field));
}

function toWait(job: Job, stored: unknown): JobWait {
  if (!isRecord(stored)) return { keys: [], parkedSince: undefined, waitingSince: undefined };
  const { since, run, keys } = stored;
  const runs = runOf(job) - run;
  return {
    keys,
    parkedSince: runs === 0 ? since : undefined,
    waitingSince: runs === 1 ? since : undefined,
  };
}

/** The fields to write when the job is delayed once more. */
export function waitFields(job: Job, since: number, keys: readonly string[]): JobFields {
  const record: WaitRecord = { since, run: runOf(job), keys };
  return { [WAIT_FIELD]: JSON.stringify(record) };
}

/** Counts the runs of a job; a run that was killed and its repetition are the same. */
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
    typeof value.run === "number" &&
    "keys" in value &&
    Array.isArray(value.keys)
  );
}
