import type { Job } from "bullmq";
import { compareWaiters, type Waiter } from "../waiters/waiter.ts";
import type { Activation } from "./activation.ts";
import { type JobClass, type JobWorker, workerOf } from "./job-worker.ts";
import type { LockSettings } from "./options.ts";
import { runScript } from "./queue-script.ts";
import { waiterOf } from "./job-waiter.ts";

/** Most active jobs that are looked at: those that were taken up last. */
const MOST = 200;
/** For how many ms a job that is active, and has not got its keys, is waited for: as long as a turn lives. */
const PATIENCE = 2_000;

const SCRIPT = {
  name: "bullmqRedlockActive",
  lua: `return redis.call('LRANGE', KEYS[1], 0, ARGV[1])`,
};

/** An active job, as far as it is known here. */
interface KnownJob {
  /** When it was seen here first. */
  readonly at: number;
  readonly name: string;
  readonly keys: readonly string[];
  readonly waiter: Waiter;
}

/** What is known of the active jobs of one worker's queue; of those that are not active any more nothing is kept. */
const known = new WeakMap<JobWorker, Map<string, Promise<KnownJob | undefined>>>();
/** The names of the jobs that have come through these settings: those of others may not be locked, or by other keys. */
const names = new WeakMap<LockSettings, Set<string>>();

/**
 * The jobs of the same queue that come before this one at one of its keys, and were taken up by a worker that may not have asked
 * for them yet. Empty where the queue does not tell.
 */
export async function predecessorsOf(
  { settings, job }: Activation,
  keys: readonly string[],
  waiter: Waiter,
): Promise<readonly Waiter[]> {
  const worker = workerOf(job);
  const { clock } = settings.engine;
  const jobs = known.get(worker) ?? new Map<string, Promise<KnownJob | undefined>>();
  known.set(worker, jobs);
  names.set(settings, (names.get(settings) ?? new Set()).add(job.name));
  const own = { at: clock.now(), name: job.name, keys, waiter };
  jobs.set(job.id ?? "", Promise.resolve(own));
  try {
    const active = await readActive(worker);
    for (const id of jobs.keys()) if (!active.has(id)) jobs.delete(id);
    const found = await Promise.all(
      Array.from(active, (id) => {
        const fetched = jobs.get(id) ?? fetchJob(settings, job, waiter, id);
        jobs.set(id, fetched);
        return fetched;
      }),
    );
    return found.flatMap((other) => {
      if (other === undefined || clock.now() - other.at > PATIENCE) return [];
      const shares =
        names.get(settings)?.has(other.name) === true &&
        other.keys.some((key) => keys.includes(key));
      return shares && isBefore(other.waiter, waiter) ? [other.waiter] : [];
    });
  } catch {
    // A queue that does not answer has no order to keep: whatever is asked of it next says what is wrong.
    return [];
  }
}

async function readActive(worker: JobWorker): Promise<Set<string>> {
  const reply = await runScript(worker, SCRIPT, worker.toKey?.("active") ?? "", String(MOST - 1));
  return new Set(Array.isArray(reply) ? reply.map(String) : []);
}

/** Reads a job that another process has taken up. */
async function fetchJob(
  settings: LockSettings,
  job: Job,
  { queueId }: Waiter,
  id: string,
): Promise<KnownJob | undefined> {
  const jobs = job.constructor as unknown as JobClass;
  const other = await jobs.fromId(workerOf(job), id);
  if (other === undefined) return undefined;
  const keys = keysOf(settings, other);
  const waiter = waiterOf(other, queueId, false);
  return { at: settings.engine.clock.now(), name: other.name, keys, waiter };
}

function keysOf({ keysOf: resolve }: LockSettings, job: Job): readonly string[] {
  try {
    return resolve(job) ?? [];
  } catch {
    // Its own worker fails it.
    return [];
  }
}

function isBefore(a: Waiter, b: Waiter): boolean {
  return compareWaiters({ ...a, record: "" }, { ...b, record: "" }) < 0;
}
