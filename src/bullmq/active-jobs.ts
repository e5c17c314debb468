import type { Job } from "bullmq";
import { compareWaiters, type Predecessor, type Waiter } from "../waiters/waiter.ts";
import { type JobWorker, jobClassOf, runScript } from "./bullmq-job.ts";
import { waiterOf } from "./job-waiter.ts";
import { foreseenKeys } from "./job-locks.ts";
import type { LockSettings } from "./lock-settings.ts";

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

/** The names of the jobs that settings have locked under strict order: other jobs may have no lock, or other keys. */
const lockedNames = new WeakMap<LockSettings, Set<string>>();

/** The active jobs of one worker's queue, for strict order. */
export class ActiveJobs {
  readonly #worker: JobWorker;
  /** By id; jobs that are no longer active are forgotten. */
  readonly #known = new Map<string, Promise<KnownJob | undefined>>();

  constructor(worker: JobWorker) {
    this.#worker = worker;
  }

  /**
   * The jobs of the same queue that come before this one at one of its keys, and that a worker has taken up but may not have
   * asked for the key yet. Empty when the queue does not answer.
   */
  async predecessorsOf(
    job: Job,
    settings: LockSettings,
    keys: readonly string[],
    waiter: Waiter,
  ): Promise<readonly Predecessor[]> {
    const { clock } = settings.engine;
    const names = lockedNames.get(settings) ?? new Set();
    lockedNames.set(settings, names.add(job.name));
    const own = { at: clock.now(), name: job.name, keys, waiter };
    this.#known.set(job.id ?? "", Promise.resolve(own));
    try {
      const active = await this.#readActive();
      for (const id of this.#known.keys()) if (!active.has(id)) this.#known.delete(id);
      const found = await Promise.all(
        Array.from(active, (id) => {
          const fetched = this.#known.get(id) ?? this.#fetch(job, settings, waiter, id);
          this.#known.set(id, fetched);
          return fetched;
        }),
      );
      return found.flatMap((other) => {
        if (other === undefined || clock.now() - other.at > PATIENCE) return [];
        const shared = names.has(other.name) ? other.keys.filter((key) => keys.includes(key)) : [];
        const { position, priority } = other.waiter;
        const predecessor = { position, priority, keys: shared };
        const isBefore = compareWaiters(other.waiter, waiter) < 0;
        // @protection strict order waits for active jobs
        return shared.length > 0 && isBefore ? [predecessor] : [];
      });
    } catch {
      // A queue that does not answer has no order to keep; the next request to it reports the problem.
      return [];
    }
  }

  async #readActive(): Promise<Set<string>> {
    const keys = [this.#worker.toKey?.("active") ?? ""];
    const reply = await runScript(this.#worker, SCRIPT, keys, [String(MOST - 1)]);
    return new Set(Array.isArray(reply) ? reply.map(String) : []);
  }

  /** Reads a job that another process has taken up; `job` is another one of its queue. */
  async #fetch(
    job: Job,
    settings: LockSettings,
    { queueId }: Waiter,
    id: string,
  ): Promise<KnownJob | undefined> {
    const other = await jobClassOf(job).fromId(this.#worker, id);
    if (other === undefined) return undefined;
    const keys = foreseenKeys(settings, other)?.keys ?? [];
    const waiter = waiterOf(other, queueId, false);
    return { at: settings.engine.clock.now(), name: other.name, keys, waiter };
  }
}
