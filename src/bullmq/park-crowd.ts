import type { Job } from "bullmq";
import type { RedlockEvents } from "../events.ts";
import { nameOf } from "../job-names.ts";
import type { Engine } from "../redlock/engine.ts";
import { type JobWorker, jobClassOf, keepsFields, runScript, sendTogether } from "./bullmq-job.ts";
import { alarmAfter } from "./job-delay.ts";
import { dueAt, WAIT_FIELD, waitFields } from "./job-wait.ts";
import { waiterOf } from "./job-waiter.ts";
import { foreseenKeys, type JobLocks } from "./job-locks.ts";
import type { LockSettings } from "./lock-settings.ts";
import { type FirstParking, parkUnstarted } from "./park-script.ts";

/** How many jobs of a queue are looked at together. */
const MOST = 100;
/** For how many ms no jobs are looked at after fewer than half of them were parked. */
const REST = 500;

const NEXT = {
  name: "bullmqRedlockNext",
  lua: `return redis.call('LRANGE', KEYS[1], -ARGV[1], -1)`,
};

/** A job whose key is crowded, and what is known about it. */
interface Crowd {
  readonly engine: Engine;
  readonly locks: JobLocks;
  readonly job: Job;
  readonly queueId: string;
  /** Aborts when the worker begins to close. */
  readonly closing: AbortSignal;
}

/** A job that is in the wait list of its key, and is to be moved to the delayed set. */
interface Joined extends FirstParking {
  readonly parked: RedlockEvents["parked"][0];
}

/** Whether a fresh job with these keys joins the wait list without asking for its key, since many wait for that. */
export function joinsUnasked(
  { engine, onConflict, order, retryOrder }: LockSettings,
  keys: readonly string[],
): boolean {
  const [key = ""] = keys;
  const isParked = onConflict === "delay" && order !== "strict" && retryOrder !== "keep";
  return isParked && keys.length === 1 && engine.waitLists.isCrowded(key);
}

/**
 * Parks the next jobs of a queue whose keys are crowded: a worker would take each of them up only to park it, and the jobs behind them
 * would wait for its worker slots.
 */
export class CrowdParker {
  readonly #worker: JobWorker;
  #isBusy = false;
  #restsUntil = -Infinity;

  constructor(worker: JobWorker) {
    this.#worker = worker;
  }

  /** Looks at the jobs behind one whose key is crowded, unless it does so already. */
  start(crowd: Crowd): void {
    const { engine, locks, job } = crowd;
    if (this.#isBusy || engine.clock.now() < this.#restsUntil) return;
    if (!locks.coverAll(this.#worker) || !keepsFields(job)) return;
    this.#isBusy = true;
    const parking = this.#parkAll(crowd)
      // The queue does not answer: its jobs are taken up as ever.
      .catch(() => undefined)
      .finally(() => {
        this.#isBusy = false;
        this.#restsUntil = engine.clock.now() + REST;
      });
    engine.awaitAtClose(parking);
  }

  async #parkAll(crowd: Crowd): Promise<void> {
    let parked = MOST;
    while (2 * parked >= MOST && !crowd.closing.aborted) {
      const jobs = await this.#readNext(crowd.job);
      const joining = jobs.map(async (job) => await join(crowd, job));
      const joined = (await Promise.all(joining)).filter((entry) => entry !== undefined);
      parked = await this.#park(crowd, joined);
    }
  }

  /** Reads the jobs that the workers of the queue take up next. */
  async #readNext(job: Job): Promise<readonly Job[]> {
    const keys = [this.#worker.toKey?.("wait") ?? ""];
    const reply = await runScript(this.#worker, NEXT, keys, [String(MOST)]);
    const ids = Array.isArray(reply) ? reply.map(String).toReversed() : [];
    sendTogether(this.#worker);
    const reading = ids.map(async (id) => await jobClassOf(job).fromId(this.#worker, id));
    const jobs = await Promise.allSettled(reading);
    return jobs.flatMap((read) => (read.status === "fulfilled" ? (read.value ?? []) : []));
  }

  /** @returns how many were parked. */
  async #park({ engine }: Crowd, joined: readonly Joined[]): Promise<number> {
    if (joined.length === 0) return 0;
    const ids = await parkUnstarted(this.#worker, joined, engine.clock.wall());
    for (const { id, parked } of joined) if (ids.has(id)) engine.noteParked(parked);
    return ids.size;
  }
}

/**
 * Puts a job that no worker has taken up into the wait list of its key, as its first run would do. It joins before it is moved, as in
 * `join-crowd.ts`; a worker that takes it up in between finds it there.
 */
async function join({ engine, locks, queueId }: Crowd, job: Job): Promise<Joined | undefined> {
  // A repeated job adds the next one when it is taken up, and BullMQ fails a job with a deferred failure then.
  const isPlain = job.repeatJobKey === undefined && !job.deferredFailure;
  if (job.attemptsStarted !== 0 || !isPlain) return undefined;
  const settings = locks.settingsOf(job);
  const found = foreseenKeys(settings, job);
  if (found === undefined || !joinsUnasked(settings, found.keys)) return undefined;
  const { ttl, maxWait = Infinity, maxAge = Infinity, jobLogs } = settings;
  const now = engine.clock.wall();
  const startableFor = maxAge - (now - dueAt(job));
  if (startableFor <= 0) return undefined;
  const [key = ""] = found.keys;
  const limit = found.limits?.[0] ?? 1;
  job.attemptsStarted = 1;
  const waiter = waiterOf(job, queueId, false);
  const conflict = await engine.joinCrowd({ job, waiter }, key, found.limits, ttl);
  // The key may be free: a worker takes the job up soon.
  if (conflict === undefined) return undefined;
  const alarm = alarmAfter(conflict, limit, ttl, engine.random.fraction());
  const delay = Math.min(alarm, Math.ceil(maxWait), Math.ceil(startableFor));
  return {
    id: job.id ?? "",
    timestamp: job.timestamp,
    delay,
    field: waitFields(job, now, [key])[WAIT_FIELD] ?? "",
    log: jobLogs === "off" ? "" : `[lock] ${conflict.message}; parked`,
    parked: { keys: [key], job: nameOf(job), queue: job.queueName, reason: "conflict", delay },
  };
}
