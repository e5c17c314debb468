import { isAheadOfMove, parsePosition, parseWaiterRecord } from "../waiters/waiter.ts";
import type { StoredWaiter } from "../waiters/waiter.ts";
import { type JobWorker, runScript } from "./bullmq-job.ts";
import { WAIT_FIELD } from "./job-wait.ts";

/**
 * - `woken`: the job is the first of its queue now. It was in the delayed set, or behind others since its delay has ended.
 * - `sooner`: it stays there, and comes back by itself at the given time at the latest.
 * - `gone`: there is no such job.
 * - `moved`: it is active, or the first of its queue, or was taken up again since it was parked.
 * - `special`: only BullMQ knows where the job belongs, since its queue is paused or it is in a group of BullMQ Pro.
 */
type WakeReply = "woken" | "sooner" | "gone" | "moved" | "special";

/**
 * What `promote` and `changePriority` with `lifo` do together, for the job of a waiter alone, in one step. A job that has failed
 * since, or a later one with the same id, is not promoted out of its own delay. A job that no worker has taken up gets a field by
 * which it is not parked any more. With a time, only the delay becomes shorter; the score is that of BullMQ's delayed set.
 */
const SCRIPT = {
  name: "bullmqRedlockWake",
  keys: 8,
  lua: `
local job = redis.call('HMGET', KEYS[1], 'timestamp', 'opts', 'ats', 'atm', 'stc', 'priority', 'gid')
if not job[1] then return 'gone' end
local delay = tonumber(cjson.decode(job[2] or '{}').delay) or 0
if math.floor(tonumber(job[1]) + delay) ~= tonumber(ARGV[2]) then return 'gone' end
local started = tonumber(job[3] or 0)
local isUnderWay = started - tonumber(job[4] or 0) - tonumber(job[5] or 0) > 0
local hasLeft = started > 0 or redis.call('ZSCORE', KEYS[2], ARGV[1])
if started > tonumber(ARGV[3]) or (ARGV[4] == '1' and not isUnderWay and hasLeft) then return 'moved' end
if ARGV[5] then
  local score, sooner = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or 0), ARGV[5] * 0x1000
  if score > sooner then redis.call('ZADD', KEYS[2], sooner, ARGV[1]) end
  return 'sooner'
end
if started == 0 then redis.call('HSET', KEYS[1], '${WAIT_FIELD}', '{}') end
local meta = redis.call('HMGET', KEYS[5], 'paused', 'concurrency')
if meta[1] or job[7] then return 'special' end
local priority = tonumber(job[6]) or 0
local isDelayed = redis.call('ZREM', KEYS[2], ARGV[1]) == 1
-- A job whose delay has ended is behind the backlog of its queue.
if not isDelayed and (redis.call('LINDEX', KEYS[3], -1) == ARGV[1]
  or (priority == 0 and redis.call('LREM', KEYS[3], 1, ARGV[1]) == 0)
  or (priority > 0 and not redis.call('ZSCORE', KEYS[4], ARGV[1]))) then return 'moved' end
if priority == 0 then redis.call('RPUSH', KEYS[3], ARGV[1])
else redis.call('ZADD', KEYS[4], priority * 0x100000000, ARGV[1]) end
local isMaxed = meta[2] and redis.call('LLEN', KEYS[6]) >= tonumber(meta[2])
if not isMaxed then redis.call('ZADD', KEYS[7], 0, '0') end
if isDelayed then redis.call('XADD', KEYS[8], '*', 'event', 'waiting', 'jobId', ARGV[1], 'prev', 'delayed') end
redis.call('HSET', KEYS[1], 'delay', 0)
return 'woken'`,
};

/**
 * Wakes the job of a waiter.
 * @param onSent runs when the request is sent.
 * @throws what the connection of the queue throws.
 */
export async function runWake(
  worker: JobWorker,
  waiter: StoredWaiter,
  onSent?: () => void,
): Promise<WakeReply> {
  return await runFor(worker, waiter, [], onSent);
}

/**
 * Lets the parked job of a waiter come back by itself at a time at the latest.
 * @param at in ms since 1970.
 * @throws what the connection of the queue throws.
 */
export async function runHasten(
  worker: JobWorker,
  waiter: StoredWaiter,
  at: number,
): Promise<WakeReply> {
  return await runFor(worker, waiter, [String(Math.round(at))]);
}

async function runFor(
  worker: JobWorker,
  waiter: StoredWaiter,
  time: readonly string[],
  onSent?: () => void,
): Promise<WakeReply> {
  const { since = 0, id = "" } = parsePosition(waiter.position) ?? {};
  const run = parseWaiterRecord(waiter.record)?.run ?? -1;
  const names = [id, "delayed", "wait", "prioritized", "meta", "active", "marker", "events"];
  const keys = names.map((name) => worker.toKey?.(name) ?? "");
  const args = [id, String(since), String(run), isAheadOfMove(waiter) ? "1" : "", ...time];
  return (await runScript(worker, SCRIPT, keys, args, onSent)) as WakeReply;
}

/** Lua that sets BullMQ's marker of when the next job of a delayed set is due: its idle workers wait until then. */
export function tellWorkers(delayed: string, marker: string): string {
  return `
local next = redis.call('ZRANGE', ${delayed}, 0, 0, 'WITHSCORES')[2]
if next then redis.call('ZADD', ${marker}, next / 0x1000, '1') end`;
}

/**
 * A worker that takes the marker up in the moment in which another one sets it anew may remove it: then no idle worker looks for the
 * job before it has waited for 5 to 10 s.
 */
const REMINDER = {
  name: "bullmqRedlockRemind",
  keys: 2,
  lua: tellWorkers("KEYS[1]", "KEYS[2]"),
};

/** Tells the idle workers of a queue when its next delayed job is due. @throws what the connection of the queue throws. */
export async function remindWorkers(worker: JobWorker): Promise<void> {
  const keys = ["delayed", "marker"].map((name) => worker.toKey?.(name) ?? "");
  await runScript(worker, REMINDER, keys, []);
}
