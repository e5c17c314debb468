import type { Job } from "bullmq";
import { queueNameOf } from "../job-names.ts";
import type { RedlockWarning } from "../events.ts";
import { DEFAULT_LOCK_DURATION, type JobWorker, keepsFields, workerOf } from "./job-worker.ts";
import { mismatchesOfJob, mismatchesOfWorker } from "./mismatches.ts";
import type { LockSettings } from "./options.ts";

/** What was looked at, and said, for one worker. */
interface Told {
  readonly codes: Set<string>;
  readonly settings: WeakSet<LockSettings>;
}

const told = new WeakMap<JobWorker, Told>();

/** Warns of what does not go together in a worker, its lock and a job that it took up: of each once per worker. */
export function warnOfMismatches(settings: LockSettings, job: Job): void {
  const worker = workerOf(job);
  const { opts: options } = worker;
  // A job that was made by hand has no worker.
  if (options === undefined) return;
  const known = told.get(worker) ?? { codes: new Set<string>(), settings: new WeakSet() };
  told.set(worker, known);
  const found = mismatchesOfJob(job, settings);
  if (!known.settings.has(settings)) {
    known.settings.add(settings);
    const { engine } = settings;
    const facts = {
      options,
      lockDuration: options.lockDuration ?? DEFAULT_LOCK_DURATION,
      ttl: settings.lock.ttl ?? engine.settings.ttl,
      keepsFields: keepsFields(job),
      queueServer: engine.masterAt(options.connection),
    };
    found.push(...mismatchesOfWorker(facts, settings));
  }
  for (const warning of found) tell(settings, job, known, warning);
}

function tell({ engine }: LockSettings, job: Job, { codes }: Told, warning: RedlockWarning): void {
  const { code, message } = warning;
  if (codes.has(code)) return;
  codes.add(code);
  engine.events.emit("warning", { code, message: `queue ${queueNameOf(job)}: ${message}` });
}
