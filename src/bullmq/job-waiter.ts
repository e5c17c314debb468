import type { Job } from "bullmq";
import { positionOf, type Waiter } from "../waiters/waiter.ts";
import { dueAt } from "./job-wait.ts";

/**
 * A job as a waiter. Its position comes from the time at which it was to run: it is the same at each activation, and jobs wait
 * in the order in which their queue would run them.
 */
export function waiterOf(job: Job, queueId: string, replaceable: boolean): Waiter {
  return {
    position: positionOf(dueAt(job), queueId, job.id ?? ""),
    priority: job.priority,
    queueId,
    run: job.attemptsStarted,
    replaceable,
  };
}

/**
 * The position up to which a job supersedes earlier ones once it has succeeded: its own. A job that was promoted before its delay
 * was over does not supersede jobs that were added since.
 * @param now in ms since 1970.
 */
export function positionWhenDone(job: Job, { position, queueId }: Waiter, now: number): string {
  const isEarly = now < dueAt(job);
  return isEarly ? positionOf(job.timestamp, queueId, job.id ?? "") : position;
}
