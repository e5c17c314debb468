import type { JobWorker } from "./job-worker.ts";

const watched = new WeakMap<JobWorker, AbortSignal>();

/**
 * A signal that aborts when the worker begins to close. One listener serves all jobs of a worker, because an emitter
 * warns of more than ten.
 */
export function closingOf(worker: JobWorker): AbortSignal {
  const known = watched.get(worker);
  if (known !== undefined) return known;
  const controller = new AbortController();
  if (worker.closing === undefined) worker.once?.("closing", () => controller.abort());
  else controller.abort();
  watched.set(worker, controller.signal);
  return controller.signal;
}
