import type { Job } from "bullmq";
import type { RedlockWarning } from "../events.ts";
import type { JobWorkerOptions } from "./bullmq-job.ts";
import type { LockSettings } from "./lock-settings.ts";

/** The settings of a lock that may not fit a worker or a job. */
export type Policies = Pick<
  LockSettings,
  "onConflict" | "order" | "retryOrder" | "onUnavailable" | "onLost" | "maxWait"
>;

/** The facts about a worker and its lock that are compared. */
interface WorkerFacts {
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
 * over. With BullMQ's defaults that is 15 s, the default ttl; the shortest time seen there was 31 s.
 */
const EARLIEST_RETRY = 1 / 2;

/** Whether the policies may move jobs to the delayed set. */
function mayDelay({ onConflict, onUnavailable, onLost }: Policies): boolean {
  return (
    (onConflict !== "skip" && onConflict !== "fail") ||
    onUnavailable === "delay" ||
    onLost === "delay"
  );
}

/** Finds what does not fit together in a worker and its lock. */
export function mismatchesOfWorker(facts: WorkerFacts, policies: Policies): RedlockWarning[] {
  const { options, lockDuration, ttl, queueServer } = facts;
  const found: RedlockWarning[] = [];
  if (options.maxStartedAttempts && mayDelay(policies)) {
    found.push({
      code: "max-started-attempts",
      message: `the worker's maxStartedAttempts (${options.maxStartedAttempts}) counts each time a job is parked or delayed: a job that only waits for its key fails for good; remove it, and limit the wait by maxWait`,
    });
  }
  if (options.limiter && mayDelay(policies)) {
    found.push({
      code: "limiter",
      message:
        "the worker's limiter counts each time a job is taken up, also when it is only parked or delayed: fewer jobs run than it would allow",
    });
  }
  const earliest = Math.floor(lockDuration * EARLIEST_RETRY);
  if (ttl > earliest) {
    found.push({
      code: "ttl-outlasts-job",
      message: `a killed worker's job may come back after ${earliest} ms, and then waits for its own old lock, which lives for ${ttl} ms; use a ttl of at most ${earliest}, or a lockDuration of at least ${Math.ceil(ttl / EARLIEST_RETRY)}`,
    });
  }
  if (policies.maxWait !== undefined && !facts.keepsFields) {
    found.push({
      code: "max-wait-ignored",
      message:
        "a queue on PostgreSQL cannot store since when a job waits: maxWait is ignored, and jobs wait for their key without a limit",
    });
  }
  if (policies.order === "strict" && !facts.keepsFields) {
    found.push({
      code: "strict-order-ignored",
      message:
        'order: "strict" is ignored on a queue on PostgreSQL: its jobs are in no wait list, and the first request gets a free key',
    });
  }
  if (policies.retryOrder === "keep" && !facts.keepsFields) {
    found.push({
      code: "retry-order-ignored",
      message:
        'retryOrder: "keep" is ignored on a queue on PostgreSQL: its jobs are in no wait list, and other jobs run before a retry',
    });
  }
  if (queueServer !== undefined) {
    found.push({
      code: "queue-server",
      message: `${queueServer} is a lock master and the queue's own Redis: it shares the load and the failures of the queue; run the lock masters on servers of their own`,
    });
  }
  return found;
}

/** Finds what does not fit together in a job and its lock. */
export function mismatchesOfJob(
  { opts, repeatJobKey }: Partial<Pick<Job, "opts" | "repeatJobKey">>,
  policies: Policies,
): RedlockWarning[] {
  const { replace = false, keepLastIfActive = false } = opts?.deduplication ?? {};
  const found: RedlockWarning[] = [];
  if (replace && mayDelay(policies)) {
    found.push({
      code: "deduplication-replace",
      message:
        "a parked or delayed job with deduplication.replace is deleted by the next job of its deduplication id, however long it has waited",
    });
  }
  if (keepLastIfActive && mayDelay(policies)) {
    found.push({
      code: "deduplication-keep-last",
      message:
        "a parked or delayed job with deduplication.keepLastIfActive is not active: a newer job of its deduplication id is dropped, with its data",
    });
  }
  const { onConflict } = policies;
  if (repeatJobKey && (onConflict === "delay" || onConflict === "wait")) {
    found.push({
      code: "scheduler-delay",
      message: `the jobs of a job scheduler pile up behind a long holder of their key, since onConflict is "${onConflict}"; use "skip", or "keepLatest" to run the newest of them afterwards`,
    });
  }
  return found;
}
