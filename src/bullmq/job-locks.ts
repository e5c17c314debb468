import type { Job } from "bullmq";
import type { NormalKeys } from "../keys/normalise.ts";
import type { JobWorker } from "./bullmq-job.ts";
import type { LockSettings } from "./lock-settings.ts";

/** How the jobs of one processor are locked. */
export interface JobLocks {
  /** The settings for a job. */
  settingsOf(this: void, job: Job): LockSettings;
  /** Whether each job of a worker is locked so: its processor may be a function that calls several wrapped ones. */
  coverAll(this: void, worker: JobWorker): boolean;
}

/** The keys that a job will have when a worker takes it up; `undefined` when it will need no lock, or fail for its key. */
export function foreseenKeys({ keysOf }: LockSettings, job: Job): NormalKeys | undefined {
  try {
    return keysOf(job) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Whether the job, as it is now, will ask for all these keys. */
export function asksFor(settings: LockSettings, job: Job, keys: readonly string[]): boolean {
  const foreseen = foreseenKeys(settings, job)?.keys;
  return keys.every((key) => foreseen?.includes(key));
}
