import { randomBytes } from "node:crypto";
import { type JobWorker, runScript } from "./bullmq-job.ts";

const MAKE_SCRIPT = {
  name: "bullmqRedlockQueueId",
  lua: `
redis.call('SET', KEYS[1], ARGV[1], 'NX')
-- BullMQ does not need the permission for TIME.
return (redis.pcall('TIME')[1] or '') .. ' ' .. redis.call('GET', KEYS[1])`,
};
const READ_SCRIPT = {
  name: "bullmqRedlockReadQueueId",
  lua: `return redis.call('GET', KEYS[1])`,
};
/** 96 bits: two queues do not get the same id by chance. */
const ID_BYTES = 12;

/**
 * Whether parked jobs of the worker's queue can be woken. On PostgreSQL they cannot: `promote` is not atomic there, and a job
 * that two processes promote may run twice.
 */
export function canWake(worker: JobWorker): boolean {
  const { backend, qualifiedName } = worker;
  if (qualifiedName === undefined || worker.toKey === undefined) return false;
  // BullMQ 5 has Redis only.
  return backend === undefined || "redisPrefix" in backend;
}

/**
 * Reads the id of a worker's queue, by which wait lists know it: a random id that is kept in the queue's own Redis, written by
 * the first worker that asks, and the name of the queue for people. It is the same for every process, also when a process
 * reaches that Redis by another address, through Sentinel, or as a cluster, and different for two servers with the same address.
 * @param known the id that the worker has used so far: it is written again when the queue's Redis has lost its data.
 * @returns the id, and the whole seconds since 1970 by the clock of that Redis, if its user may ask for them.
 * @throws what the connection of the queue throws, or an error when the stored id is not one.
 */
export async function makeQueueId(
  worker: JobWorker,
  known?: string,
): Promise<{ id: string; seconds: number | undefined }> {
  const key = worker.toKey?.("redlock:id") ?? "";
  const [proposed] = known?.split(" ") ?? [randomBytes(ID_BYTES).toString("base64url")];
  const reply = await runScript(worker, MAKE_SCRIPT, [key], [proposed ?? ""]);
  const [, seconds, id] = /^(\d*) (\S+)$/.exec(String(reply)) ?? [];
  if (id === undefined) throw new Error(`${key} is not an id of a queue`);
  const time = seconds === "" ? undefined : Number(seconds);
  return { id: `${id} ${worker.qualifiedName ?? ""}`, seconds: time };
}

/** As {@link makeQueueId}, and writes none: `undefined` when no worker with locks has taken up a job of the queue. */
export async function readQueueId(queue: JobWorker): Promise<string | undefined> {
  if (!canWake(queue)) return undefined;
  const id = await runScript(queue, READ_SCRIPT, [queue.toKey?.("redlock:id") ?? ""], []);
  return typeof id === "string" && id !== "" ? `${id} ${queue.qualifiedName ?? ""}` : undefined;
}
