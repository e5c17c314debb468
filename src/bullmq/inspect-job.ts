import type { Job } from "bullmq";
import { nameOf } from "../job-names.ts";
import { type AwaitedKey, findAwaitedKeys } from "../redlock/awaited-keys.ts";
import { engineOf, type Redlock } from "../redlock/redlock.ts";
import { keepsFields, requireJob, runScript, workerOf } from "./bullmq-job.ts";
import { readWait } from "./job-wait.ts";
import { waiterOf } from "./job-waiter.ts";
import { lossesOf } from "./on-loss.ts";
import { readQueueId } from "./queue-id.ts";

/** Why a job is in the delayed set of its queue. */
export type DelayCause = "parked" | "unavailable" | "lost" | "retry" | "delay";

/** What is known of a job and of the keys that it waits for. */
export interface JobInspection {
  /** `prefix:queue:id`. */
  job: string;
  /** BullMQ's state of the job, such as `"delayed"` or `"active"`. */
  state: string;
  /**
   * Why the job is delayed; `undefined` when it is not.
   *
   * - `"parked"`: it waits for `keys`, and is woken when one is reserved for it;
   * - `"unavailable"`: this library delayed it, and it is in no wait list: too few masters answered, or they have lost the list;
   * - `"lost"`: it lost its lock;
   * - `"retry"`: BullMQ delays it after a failed attempt;
   * - `"delay"`: its own `delay`.
   */
  delayedBy: DelayCause | undefined;
  /** When the job was first refused, in ms since 1970, if it has waited since. */
  waitingSince: number | undefined;
  /** When the delay of the job ends, in ms since 1970: it comes back then even when no process wakes it. */
  returnsAt: number | undefined;
  /** The keys for which it was parked, and in whose wait lists it is. Those of a job that only waits in its worker slot are not known. */
  keys: AwaitedKey[];
}

/** The states in which a job may be in wait lists. */
const MAY_WAIT: readonly string[] = ["delayed", "waiting", "prioritized", "active"];

const SCORE_SCRIPT = {
  name: "bullmqRedlockDelayed",
  lua: `return redis.call('ZSCORE', KEYS[1], ARGV[1])`,
};
/** BullMQ stores times in the delayed set in steps of so many, so that jobs of the same time keep their order. */
const SCORE_STEP = 0x1000;

/**
 * Finds out why a job does not run: which keys it waits for, their holders, its position, and when it comes back by itself.
 * Changes nothing. The keys are those that the job was parked for; each is read to the position of the job.
 * @param job as `queue.getJob(id)` returns it.
 * @throws {LockUnavailableError} when too few masters answer about a job that may wait; {@link LockConfigError} for what is no
 * job; what the connection of the queue throws.
 * @example
 * const job = await queue.getJob("17");
 * if (job !== undefined) console.log(await inspectJob(redlock, job));
 */
export async function inspectJob(redlock: Redlock, job: Job): Promise<JobInspection> {
  const engine = engineOf(redlock);
  engine.assertOpen();
  requireJob(job);
  const queue = workerOf(job);
  const state = await job.getState();
  const isDelayed = state === "delayed";
  const queueId = await readQueueId(queue);
  const position = queueId === undefined ? undefined : waiterOf(job, queueId, false).position;
  const wait = await readWait(job);
  const keys =
    position === undefined || !MAY_WAIT.includes(state)
      ? []
      : await engine.whileOpen(() =>
          findAwaitedKeys(engine.context, (other) => other === position, wait.keys),
        );
  const delayedKey = isDelayed && keepsFields(job) ? queue.toKey?.("delayed") : undefined;
  const score =
    delayedKey === undefined
      ? undefined
      : await runScript(queue, SCORE_SCRIPT, [delayedKey], [job.id ?? ""]);
  return {
    job: nameOf(job),
    state,
    delayedBy: isDelayed ? causeOf(job, keys, wait.parkedSince) : undefined,
    // An active job with keys waits in its worker slot.
    waitingSince: wait.parkedSince ?? (keys.length > 0 ? wait.waitingSince : undefined),
    returnsAt: typeof score === "string" ? Math.floor(Number(score) / SCORE_STEP) : undefined,
    keys,
  };
}

function causeOf(
  job: Job,
  keys: readonly AwaitedKey[],
  parkedSince: number | undefined,
): DelayCause {
  if (keys.length > 0) return "parked";
  if (parkedSince !== undefined) return "unavailable";
  if (lossesOf(job) > 0) return "lost";
  return job.attemptsMade > 0 ? "retry" : "delay";
}
