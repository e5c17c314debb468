import { type JobWorker, runScript } from "./bullmq-job.ts";
import { WAIT_FIELD } from "./job-wait.ts";
import { tellWorkers } from "./wake-script.ts";

/** How a job is parked that no worker has taken up yet. */
export interface FirstParking {
  readonly id: string;
  /** That of the job: a later one with the same id is another job. */
  readonly timestamp: number;
  /** Whole milliseconds. */
  readonly delay: number;
  /** The value of {@link WAIT_FIELD}. */
  readonly field: string;
  /** A line for the log of the job; empty for none. */
  readonly log: string;
}

/**
 * What a worker does that takes a job up and moves it to the delayed set, without the worker. A job that was taken up or woken
 * since stays where it is.
 */
const SCRIPT = {
  name: "bullmqRedlockPark",
  keys: 5,
  lua: `
local parked = {}
for i = 2, #ARGV, 5 do
  local id, key = ARGV[i], KEYS[1] .. ARGV[i]
  local job = redis.call('HMGET', key, 'timestamp', 'ats', '${WAIT_FIELD}')
  local isFresh = job[1] == ARGV[i + 1] and (tonumber(job[2]) or 0) == 0 and not job[3]
  if isFresh and redis.call('LREM', KEYS[2], -1, id) == 1 then
    local at = ARGV[1] + ARGV[i + 2]
    redis.call('HSET', key, 'delay', ARGV[i + 2], 'ats', 1, '${WAIT_FIELD}', ARGV[i + 3])
    redis.call('ZADD', KEYS[3], at * 0x1000, id)
    redis.call('XADD', KEYS[5], '*', 'event', 'delayed', 'jobId', id, 'delay', at)
    if ARGV[i + 4] ~= '' then redis.call('RPUSH', key .. ':logs', ARGV[i + 4]) end
    parked[#parked + 1] = id
  end
end
${tellWorkers("KEYS[3]", "KEYS[4]")}
return parked`,
};

/**
 * Moves jobs that wait for a worker to the delayed set.
 * @param now in ms since 1970.
 * @returns the ids of those that were moved.
 * @throws what the connection of the queue throws.
 */
export async function parkUnstarted(
  worker: JobWorker,
  jobs: readonly FirstParking[],
  now: number,
): Promise<ReadonlySet<string>> {
  const names = ["", "wait", "delayed", "marker", "events"];
  const keys = names.map((name) => worker.toKey?.(name) ?? "");
  const args = jobs.flatMap(({ id, timestamp, delay, field, log }) => [
    id,
    String(timestamp),
    String(delay),
    field,
    log,
  ]);
  const reply = await runScript(worker, SCRIPT, keys, [String(now), ...args]);
  return new Set(Array.isArray(reply) ? reply.map(String) : []);
}
