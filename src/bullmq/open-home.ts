import type { Job } from "bullmq";
import { homeNameOf } from "./home-name.ts";
import { type JobWorker, workerOf } from "./job-worker.ts";
import type { LockSettings } from "./options.ts";
import { QueueHome } from "./queue-home.ts";

const names = new WeakMap<JobWorker, string | undefined>();

/**
 * Lets this process wake the parked jobs of the job's queue, until the worker closes.
 * @returns the name of its home, or `undefined` when its jobs are not to be woken.
 */
export function openHome({ redlock, home: server }: LockSettings, job: Job): string | undefined {
  const worker = workerOf(job);
  if (!names.has(worker)) names.set(worker, homeNameOf(worker, server));
  const name = names.get(worker);
  if (name === undefined || redlock.line.isOpen(name)) return name;
  const home = new QueueHome(name, worker, job, redlock);
  redlock.line.open(name, home);
  worker.once?.("closed", () => redlock.line.shut(name, home));
  return name;
}
