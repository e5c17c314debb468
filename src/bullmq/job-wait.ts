import type { Job } from "bullmq";
import type { LockConflictError } from "../errors.ts";
import { type JobFields, readField } from "./bullmq-job.ts";

/** First and longest delay of a job that no process wakes, in ms; it doubles in between. */
const FIRST = 50;
const LONGEST = 5_000;

/** How many ms after the end of its holder's lock a key is tried again at the earliest. */
const SHORTEST = 20;

/**
 * How long to delay a job that no process wakes: longer each time, within `retryAfter` if that is known, and with a jitter of
 * half, so that jobs that came together do not return together. Whole milliseconds.
 * @param fraction a random number from 0 up to 1.
 */
export function backoff(
  timesDelayed: number,
  retryAfter: number | undefined,
  fraction: number,
): number {
  const grown = Math.min(FIRST * 2 ** Math.min(timesDelayed, 30), LONGEST);
  const jittered = grown * (0.5 + fraction / 2);
  // A holder that has died cannot extend: a retry much later than the end of its lock gains nothing.
  return Math.round(
    Math.min(jittered, Math.max(retryAfter ?? Infinity, 0) + SHORTEST * (1 + fraction)),
  );
}

/**
 * The alarm of a parked job rings a share of the ttl after its key should be free: an extended lock has a third less left than
 * its ttl, so that the first waiter comes back after one to one and a half ttls of any holder.
 */
const ALARM_DELAY = 0.1;
const ALARM_JITTER = 0.2;
/** How many ttls, and milliseconds, the position in the wait list adds at most. */
const MOST_TTLS = 9;
const LONGEST_ALARM = 300_000;

/**
 * When a parked job comes back by itself, in whole milliseconds: when its holder's lock should have ended, and a ttl later for
 * each waiter before it. This needs no live process. A holder that lives for long costs about ln(waiters) activations a ttl
 * for up to ten waiters, and a ninth of an activation for each further waiter.
 * @param expiresIn milliseconds until the holder's lock ends if it is not extended.
 * @param ahead the number of waiters before the job.
 */
export function alarm(
  { expiresIn, ahead, ttl }: { expiresIn: number; ahead: number; ttl: number },
  fraction: number,
): number {
  // Jobs that came together do not come back together.
  const spread = 1 - ALARM_JITTER * (1 - fraction);
  const share = Math.min(ahead, MOST_TTLS) * spread + ALARM_DELAY + ALARM_JITTER * fraction;
  return Math.round(Math.min(Math.max(expiresIn, 0) + share * ttl, LONGEST_ALARM * spread));
}

/**
 * The {@link alarm} of a job after its conflict.
 * @param limit how many holders its key may have.
 */
export function alarmAfter(
  { reserved, retryAfter, ahead }: LockConflictError,
  limit: number,
  ttl: number,
  fraction: number,
): number {
  // A key that is kept for a retry is free long before its reservation expires.
  const expiresIn = reserved === true ? Math.min(retryAfter, ttl) : retryAfter;
  return alarm({ expiresIn, ahead: ahead / limit, ttl }, fraction);
}

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
