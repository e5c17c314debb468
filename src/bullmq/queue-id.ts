import { randomBytes } from "node:crypto";
import type { JobWorker } from "./job-worker.ts";
import { runScript } from "./queue-script.ts";

const SCRIPT = {
  name: "bullmqRedlockQueueId",
  lua: `redis.call('SET', KEYS[1], ARGV[1], 'NX') return redis.call('GET', KEYS[1])`,
};
/** 96 bits: no two queues of this world have the same id by chance. */
const ID_BYTES = 12;

/** Whether parked jobs of the worker's queue can be woken: `promote` is not atomic on PostgreSQL, where a job that two
 * processes promote may run twice. */
export function canWake(worker: JobWorker): boolean {
  const { backend, qualifiedName } = worker;
  if (qualifiedName === undefined || worker.toKey === undefined) return false;
  // BullMQ 5 knows nothing but Redis.
  return backend === undefined || "redisPrefix" in backend;
}

/**
 * The identity of a worker's queue, by which wait lists know it: a random id that is kept in the queue's own Redis, written
 * by the first worker that asks, and the name of the queue for people. It is the same for every process, whether it reaches
 * that Redis by another address, through Sentinel, or as a cluster, and different for two servers that are called the same.
 * @throws what the connection of the queue throws, or an error when it gives no id.
 */
export async function readQueueId(worker: JobWorker): Promise<string> {
  const key = worker.toKey?.("redlock:id") ?? "";
  const id = await runScript(worker, SCRIPT, key, randomBytes(ID_BYTES).toString("base64url"));
  if (typeof id !== "string" || id === "") throw new Error(`${key} is not an id of a queue`);
  return `${id} ${worker.qualifiedName ?? ""}`;
}
