import type { Job } from "bullmq";
import { compareWaiters, positionOf, type Predecessor, type Waiter } from "../waiters/waiter.ts";
import type { Activation } from "./activation.ts";
import { type JobWorker, jobClassOf, runScript, workerOf } from "./bullmq-job.ts";
import type { LockSettings } from "./lock-settings.ts";

/**
 * A job as a waiter. Its position comes from the time at which it was to run: it is the same at each activation, and jobs wait
 * in the order in which their queue would run them.
 */
export function waiterOf(job: Job, queueId: string, replaceable: boolean): Waiter {
  return {
    position: positionOf(job.timestamp + (job.opts.delay ?? 0), queueId, job.id ?? ""),
    priority: job.priority,
    queueId,
    run: job.attemptsStarted,
    replaceable,
  };
}

/**
 * The position up to which a job supersedes earlier ones once it has succeeded: its own. A job that was promoted before its delay
 * was over does not supersede jobs that were added since.
 * @param now in ms since 1970.
 */
export function positionWhenDone(job: Job, { position, queueId }: Waiter, now: number): string {
  const isEarly = now < job.timestamp + (job.opts.delay ?? 0);
  return isEarly ? positionOf(job.timestamp, queueId, job.id ?? "") : position;
}

/** How many active jobs are read at most: the latest that were taken up. */
const MOST = 200;
/** For how many ms an active job that has not acquired its keys is waited for: as long as a reservation lives. */
const PATIENCE = 2_000;

const SCRIPT = {
  name: "bullmqRedlockActive",
  lua: `return redis.call('LRANGE', KEYS[1], 0, ARGV[1])`,
};

/** An active job, as far as this process knows it. */
interface KnownJob {
  /** When this process saw it first. */
  readonly at: number;
  readonly name: string;
  readonly keys: readonly string[];
  readonly waiter: Waiter;
}

/** The active jobs of one worker's queue that are known, by id; jobs that are no longer active are forgotten. */
export type ActiveJobs = Map<string, Promise<KnownJob | undefined>>;

/**
 * The jobs of the same queue that come before this one at one of its keys, and that a worker has taken up but may not have
 * asked for the key yet. Empty when the queue does not answer.
 */
export async function predecessorsOf(
  { settings, job, context }: Activation,
  keys: readonly string[],
  waiter: Waiter,
): Promise<readonly Predecessor[]> {
  const { activeJobs } = context;
  const { clock } = settings.engine;
  settings.names.add(job.name);
  const own = { at: clock.now(), name: job.name, keys, waiter };
  activeJobs.set(job.id ?? "", Promise.resolve(own));
  try {
    const active = await readActive(context.worker);
    for (const id of activeJobs.keys()) if (!active.has(id)) activeJobs.delete(id);
    const found = await Promise.all(
      Array.from(active, (id) => {
        const fetched = activeJobs.get(id) ?? fetchJob(settings, job, waiter, id);
        activeJobs.set(id, fetched);
        return fetched;
      }),
    );
    return found.flatMap((other) => {
      if (other === undefined || clock.now() - other.at > PATIENCE) return [];
      const shared = settings.names.has(other.name)
        ? other.keys.filter((key) => keys.includes(key))
        : [];
      const { position, priority } = other.waiter;
      const predecessor = { position, priority, keys: shared };
      // @protection strict order waits for active jobs
      return shared.length > 0 && isBefore(other.waiter, waiter) ? [predecessor] : [];
    });
  } catch {
    // A queue that does not answer has no order to keep; the next request to it reports the problem.
    return [];
  }
}

async function readActive(worker: JobWorker): Promise<Set<string>> {
  const reply = await runScript(
    worker,
    SCRIPT,
    [worker.toKey?.("active") ?? ""],
    [String(MOST - 1)],
  );
  return new Set(Array.isArray(reply) ? reply.map(String) : []);
}

/** Reads a job that another process has taken up. */
async function fetchJob(
  settings: LockSettings,
  job: Job,
  { queueId }: Waiter,
  id: string,
): Promise<KnownJob | undefined> {
  const other = await jobClassOf(job).fromId(workerOf(job), id);
  if (other === undefined) return undefined;
  const keys = keysOf(settings, other);
  const waiter = waiterOf(other, queueId, false);
  return { at: settings.engine.clock.now(), name: other.name, keys, waiter };
}

function keysOf({ keysOf: resolve }: LockSettings, job: Job): readonly string[] {
  try {
    return resolve(job)?.keys ?? [];
  } catch {
    // Its own worker fails it.
    return [];
  }
}

function isBefore(a: Waiter, b: Waiter): boolean {
  return compareWaiters(a, b) < 0;
}
