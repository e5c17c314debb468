import type { Job } from "bullmq";
import type { Line } from "../line/line.ts";
import { homeNameOf } from "./home-name.ts";
import { type JobWorker, workerOf } from "./job-worker.ts";
import type { LockSettings } from "./options.ts";
import { QueueHome } from "./queue-home.ts";

const names = new WeakMap<JobWorker, string | undefined>();
/** The workers by which each line can wake jobs. */
const opened = new WeakMap<Line, WeakSet<JobWorker>>();

/**
 * Lets this process wake the parked jobs of the job's queue, until the worker closes.
 * @returns the name of its home, or `undefined` when its jobs are not to be woken.
 */
export function openHome({ redlock, home: server }: LockSettings, job: Job): string | undefined {
  const worker = workerOf(job);
  if (!names.has(worker)) names.set(worker, homeNameOf(worker, server));
  const name = names.get(worker);
  const { line } = redlock;
  const workers = opened.get(line) ?? new WeakSet();
  if (name === undefined || workers.has(worker)) return name;
  opened.set(line, workers.add(worker));
  const home = new QueueHome(name, worker, job, redlock);
  line.open(name, home);
  worker.once?.("closed", () => line.shut(name, home));
  return name;
}
