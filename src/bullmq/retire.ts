import { onAbort } from "../on-abort.ts";
import { printable } from "../printable.ts";
import type { Redlock } from "../redlock/redlock.ts";
import type { JobWorker } from "./job-worker.ts";

/** The workers that are paused when a `Redlock` closes. */
const watched = new WeakMap<Redlock, WeakSet<JobWorker>>();
const warned = new WeakSet<Redlock>();

/**
 * Pauses a worker when the `Redlock` of its processor closes, unless the worker closes too: it could only put its jobs back,
 * and would take them up again and again, while workers of other processes can run them.
 */
export function retireWith(redlock: Redlock, worker: JobWorker): void {
  const workers = watched.get(redlock) ?? new WeakSet();
  if (workers.has(worker)) return;
  watched.set(redlock, workers.add(worker));
  const forget = onAbort(redlock.closing, () => retire(redlock, worker));
  worker.once?.("closed", forget);
}

function retire(redlock: Redlock, worker: JobWorker): void {
  if (worker.closing !== undefined || worker.pause === undefined) return;
  // Locally, and without waiting for what it runs: `Worker.close` still waits for that.
  void worker.pause(true);
  if (warned.has(redlock)) return;
  warned.add(redlock);
  const name = printable(worker.qualifiedName ?? "a queue");
  redlock.emit("warning", {
    code: "closed-before-worker",
    message: `the Redlock was closed before the worker of ${name}, which is paused now: it cannot lock any more; close workers first, then their Redlock`,
  });
}
