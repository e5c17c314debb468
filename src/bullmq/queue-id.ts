import { randomBytes } from "node:crypto";
import type { JobWorker } from "./job-worker.ts";

/** What BullMQ 6 makes of any client. */
interface AdaptedClient {
  defineCommand(name: string, definition: { numberOfKeys: number; lua: string }): void;
  runCommand(name: string, args: readonly string[]): Promise<unknown>;
}

/** BullMQ 5 gives the client of ioredis itself. */
type PlainClient = Pick<AdaptedClient, "defineCommand"> &
  Record<string, (key: string, id: string) => Promise<unknown>>;

const COMMAND = "bullmqRedlockQueueId";
const LUA = `redis.call('SET', KEYS[1], ARGV[1], 'NX') return redis.call('GET', KEYS[1])`;
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
  const client: unknown = await (worker.backend ?? worker).client;
  const id = await runOnce(client, key, randomBytes(ID_BYTES).toString("base64url"));
  if (typeof id !== "string" || id === "") throw new Error(`${key} is not an id of a queue`);
  return `${id} ${worker.qualifiedName ?? ""}`;
}

async function runOnce(client: unknown, key: string, id: string): Promise<unknown> {
  const plain = client as PlainClient;
  plain.defineCommand(COMMAND, { numberOfKeys: 1, lua: LUA });
  const adapted = client as AdaptedClient;
  if (typeof adapted.runCommand === "function") return await adapted.runCommand(COMMAND, [key, id]);
  return await plain[COMMAND]?.(key, id);
}
