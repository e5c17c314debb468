import type { WithLockOptions } from "../bullmq/with-lock.ts";
import type { Glob } from "./glob.ts";

/** A rule that was read and found right. */
export interface Rule {
  /** Its place in the list, from 0. */
  readonly index: number;
  readonly queue: Glob;
  readonly job: Glob;
  /** The key template; `null` for jobs that need no lock. */
  readonly key: string | null;
  /** Options of `withLock`, those at the top among them. Durations are milliseconds. */
  readonly options: Omit<WithLockOptions, "redlock" | "key" | "skipResult">;
}

/** The first rule that matches a job. */
export function findRule<R extends Rule>(
  rules: readonly R[],
  queueName: string,
  jobName: string,
): R | undefined {
  return rules.find(({ queue, job }) => queue.matches(queueName) && job.matches(jobName));
}
