import type { Job } from "bullmq";
import type { RedlockWarning } from "../events.ts";
import type { JobWorkerOptions } from "./job-worker.ts";
import type { LockSettings } from "./options.ts";

/** What is looked at of the settings of a lock. */
export type Policies = Pick<
  LockSettings,
  "onConflict" | "order" | "onUnavailable" | "onLost" | "maxWait"
>;

/** What a worker and its lock are made of. */
export interface WorkerFacts {
  readonly options: JobWorkerOptions;
  /** How long BullMQ's own lock of a job lives, in ms. */
  readonly lockDuration: number;
  /** How long our lock lives, in ms. */
  readonly ttl: number;
  /** Whether the queue can keep since when a job waits. */
  readonly keepsFields: boolean;
  /** The name of the lock master that is the queue's own Redis, if one is. */
  readonly queueServer: string | undefined;
}

/**
 * A killed worker's job may come back after this part of `lockDuration`: BullMQ renews its lock when half of its life is
 * over. With BullMQ's defaults that are 15 s, the default ttl; the shortest time seen there was 31 s.
 */
const EARLIEST_RETRY = 1 / 2;

/** Whether jobs may be put into the delayed set. */
function putsAside({ onConflict, onUnavailable, onLost }: Policies): boolean {
  return (
    (onConflict !== "skip" && onConflict !== "fail") ||
    onUnavailable === "delay" ||
    onLost === "delay"
  );
}

/** What does not go together in a worker and its lock. */
export function mismatchesOfWorker(facts: WorkerFacts, policies: Policies): RedlockWarning[] {
  const { options, lockDuration, ttl, queueServer } = facts;
  const found: RedlockWarning[] = [];
  if (options.maxStartedAttempts && putsAside(policies)) {
    found.push({
      code: "max-started-attempts",
      message: `the worker's maxStartedAttempts (${options.maxStartedAttempts}) counts each time a job is put aside: a job that only waits for its key fails for good; leave it out, and limit the wait by maxWait`,
    });
  }
  if (options.limiter && putsAside(policies)) {
    found.push({
      code: "limiter",
      message:
        "the worker's limiter counts each time a job is taken up, also when it is only put aside: fewer jobs run than it would allow",
    });
  }
  const earliest = Math.floor(lockDuration * EARLIEST_RETRY);
  if (ttl > earliest) {
    found.push({
      code: "ttl-outlasts-job",
      message: `a killed worker's job may come back after ${earliest} ms, and then waits for its own old lock, which lives for ${ttl} ms; take a ttl of at most ${earliest}, or a lockDuration of at least ${Math.ceil(ttl / EARLIEST_RETRY)}`,
    });
  }
  if (policies.maxWait !== undefined && !facts.keepsFields) {
    found.push({
      code: "max-wait-ignored",
      message:
        "a queue in PostgreSQL cannot keep since when a job waits: maxWait is ignored, and jobs wait for their key without a limit",
    });
  }
  if (policies.order === "strict" && !facts.keepsFields) {
    found.push({
      code: "strict-order-ignored",
      message:
        'order: "strict" is ignored on a queue in PostgreSQL: its jobs are in no line, and a free key goes to the first that asks',
    });
  }
  if (queueServer !== undefined) {
    found.push({
      code: "queue-server",
      message: `${queueServer} is a lock master and the queue's own Redis: its load and its failures are those of the queue; give the locks servers of their own`,
    });
  }
  return found;
}

/** What does not go together in a job and its lock. */
export function mismatchesOfJob(
  { opts, repeatJobKey }: Partial<Pick<Job, "opts" | "repeatJobKey">>,
  policies: Policies,
): RedlockWarning[] {
  const { replace = false, keepLastIfActive = false } = opts?.deduplication ?? {};
  const found: RedlockWarning[] = [];
  if (replace && putsAside(policies)) {
    found.push({
      code: "deduplication-replace",
      message:
        "a job with deduplication.replace that is put aside is deleted by the next job of its deduplication id, however long it has waited",
    });
  }
  if (keepLastIfActive && putsAside(policies)) {
    found.push({
      code: "deduplication-keep-last",
      message:
        "while a job with deduplication.keepLastIfActive is put aside it is not active: a newer job of its deduplication id is dropped, with its data",
    });
  }
  const { onConflict } = policies;
  if (repeatJobKey && (onConflict === "delay" || onConflict === "wait")) {
    found.push({
      code: "scheduler-delay",
      message: `the jobs of a job scheduler pile up behind a long holder of their key, since onConflict is "${onConflict}"; take "skip", or "keepLatest" to run the newest of them afterwards`,
    });
  }
  return found;
}
