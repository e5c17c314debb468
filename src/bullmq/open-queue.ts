import type { Job } from "bullmq";
import type { WaitLists } from "../waiters/wait-lists.ts";
import { within } from "../pause.ts";
import type { Engine } from "../redlock/engine.ts";
import { type JobWorker, workerOf } from "./job-worker.ts";
import { BullmqAdapter } from "./bullmq-adapter.ts";
import { canWake, readQueueId } from "./queue-id.ts";
import { describeValue } from "../sentences.ts";

/** Milliseconds that a job waits at most to learn the identity of its queue. */
const LONGEST_READ = 1_000;

const ids = new WeakMap<JobWorker, string>();
const reading = new WeakMap<JobWorker, Promise<void>>();
const warned = new WeakSet<JobWorker>();
/** The workers by which each line can wake jobs. */
const opened = new WeakMap<WaitLists, WeakSet<JobWorker>>();

/**
 * Lets this process wake the parked jobs of the job's queue, until the worker closes.
 * @returns the identity of its queue, or `undefined` when its jobs are not to be woken, or the queue does not tell now.
 */
export async function openQueue(engine: Engine, job: Job): Promise<string | undefined> {
  const worker = workerOf(job);
  if (!canWake(worker)) return undefined;
  if (!ids.has(worker)) await learnId(engine, worker);
  const id = ids.get(worker);
  const { waitLists } = engine;
  const workers = opened.get(waitLists) ?? new WeakSet();
  if (id === undefined || workers.has(worker)) return id;
  opened.set(waitLists, workers.add(worker));
  const adapter = new BullmqAdapter(id, worker, job, engine);
  waitLists.open(id, adapter);
  worker.once?.("closed", () => waitLists.shut(id, adapter));
  return id;
}

/** The jobs that a worker takes up at first ask together. */
async function learnId(engine: Engine, worker: JobWorker): Promise<void> {
  let read = reading.get(worker);
  if (read === undefined) {
    read = readQueueId(worker)
      .then((id) => void ids.set(worker, id))
      .catch((cause: unknown) => warn(engine, worker, cause))
      .finally(() => reading.delete(worker));
    reading.set(worker, read);
  }
  await within(engine.clock, read, LONGEST_READ);
}

/** Once for each worker. */
function warn(engine: Engine, worker: JobWorker, cause: unknown): void {
  if (warned.has(worker)) return;
  warned.add(worker);
  const why = cause instanceof Error ? cause.message : describeValue(cause);
  engine.events.emit("warning", {
    code: "queue-id-unknown",
    message: `the queue ${worker.qualifiedName} does not tell its identity (${why}): until it does, its jobs are delayed for a while instead of being woken`,
    cause,
  });
}
