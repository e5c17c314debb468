import { onAbort } from "../on-abort.ts";
import { printable } from "../printable.ts";
import type { Engine } from "../redlock/engine.ts";
import type { JobWorker } from "./job-worker.ts";

/** The workers that are paused when a `Redlock` closes. */
const watched = new WeakMap<Engine, WeakSet<JobWorker>>();
const warned = new WeakSet<Engine>();

/**
 * Pauses a worker when the `Redlock` of its processor closes, unless the worker closes too: it could only put its jobs back,
 * and would take them up again and again, while workers of other processes can run them.
 */
export function retireWith(engine: Engine, worker: JobWorker): void {
  const workers = watched.get(engine) ?? new WeakSet();
  if (workers.has(worker)) return;
  watched.set(engine, workers.add(worker));
  const forget = onAbort(engine.closing, () => retire(engine, worker));
  worker.once?.("closed", forget);
}

function retire(engine: Engine, worker: JobWorker): void {
  if (worker.closing !== undefined || worker.pause === undefined) return;
  // Locally, and without waiting for what it runs: `Worker.close` still waits for that.
  void worker.pause(true);
  if (warned.has(engine)) return;
  warned.add(engine);
  const name = printable(worker.qualifiedName ?? "a queue");
  engine.events.emit("warning", {
    code: "closed-before-worker",
    message: `the Redlock was closed before the worker of ${name}, which is paused now: it cannot lock any more; close workers first, then their Redlock`,
  });
}
