import type { Job } from "bullmq";
import {
  checkNumber,
  refuseUnknownOptions,
  refuseValue,
  requireObject,
  wrongOption,
} from "../check-options.ts";
import { type Redlock, engineOf } from "../redlock/redlock.ts";
import { FRONT_OFFSET, moveOperation } from "../waiters/move-operation.ts";
import { requireJob, workerOf } from "./bullmq-job.ts";
import { readWait } from "./job-wait.ts";
import { waiterOf } from "./job-waiter.ts";
import { readQueueId } from "./queue-id.ts";

/** The largest priority that BullMQ takes for a new job. Its `changePriority` checks none. */
const LARGEST_PRIORITY = 2 ** 21 - 1;

/**
 * Changes the priority of a job, as `job.changePriority` does, also in the wait lists of the keys that the job is parked for: it
 * counts at the next hand-over. `job.changePriority` alone counts when the job joins again. Any process may call this.
 *
 * With `lifo`, the job comes before all others of its priority; several such jobs keep their order. A job that waits in its worker slot
 * (`onConflict: "wait"`) keeps its position. A lock master that does not answer has the new priority when the job joins again.
 * @param redlock a client of the lock masters on which the job waits.
 * @param options `priority` is an integer from 0, which comes before all others, to 2,097,151. @defaultValue 0 and false
 * @throws {LockConfigError} for an option that BullMQ does not take, for none, and for what is no job.
 * @throws {RedlockClosedError} for a closed `Redlock`; what BullMQ throws.
 */
export async function changePriority(
  redlock: Redlock,
  job: Job,
  options: { readonly priority?: number; readonly lifo?: boolean },
): Promise<void> {
  const { priority, lifo } = checkOptions(options);
  const engine = engineOf(redlock);
  engine.assertOpen();
  requireJob(job);
  await job.changePriority({ priority, lifo });
  const { keys } = await readWait(job);
  if (keys.length === 0) return;
  // Undefined for a queue whose jobs are in no wait list.
  const queueId = await readQueueId(workerOf(job));
  if (queueId === undefined) return;
  const { position } = waiterOf(job, queueId, false);
  const moved = lifo ? priority - FRONT_OFFSET : priority;
  const { masters, names } = engine.context;
  // A master that fails has the new priority when the job joins again.
  await masters.gatherAll(moveOperation, { names, keys, position, priority: moved });
}

function checkOptions(options: { readonly priority?: unknown; readonly lifo?: unknown }): {
  priority: number;
  lifo: boolean;
} {
  requireObject("options", options, "an object with priority or lifo");
  refuseUnknownOptions("", options, ["priority", "lifo"]);
  if (options.priority === undefined && options.lifo === undefined) {
    refuseValue("options", "neither priority nor lifo", "one of them");
  }
  const { priority = 0, lifo = false } = options;
  if (typeof lifo !== "boolean") throw wrongOption("lifo", lifo, "a boolean");
  const bounds = { min: 0, max: LARGEST_PRIORITY, unit: "an integer" };
  return { priority: checkNumber("priority", priority, bounds), lifo };
}
