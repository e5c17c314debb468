import type { Job } from "bullmq";
import { describeValue } from "../sentences.ts";
import type { RedlockWarning } from "../events.ts";
import { queueNameOf } from "../job-names.ts";
import { onAbort } from "../on-abort.ts";
import { within } from "../pause.ts";
import { printable } from "../printable.ts";
import type { Engine } from "../redlock/engine.ts";
import { ActiveJobs } from "./active-jobs.ts";
import { DEFAULT_LOCK_DURATION, type JobWorker, keepsFields, workerOf } from "./bullmq-job.ts";
import { BullmqAdapter } from "./bullmq-adapter.ts";
import type { JobLocks } from "./job-locks.ts";
import type { LockSettings } from "./lock-settings.ts";
import { CrowdParker } from "./park-crowd.ts";
import { mismatchesOfJob, mismatchesOfWorker } from "./mismatches.ts";
import { canWake, makeQueueId } from "./queue-id.ts";
import { WorkerSlots } from "./worker-slots.ts";

/** How many milliseconds a job waits at most for the id of its queue. */
const LONGEST_READ = 1_000;
/**
 * While jobs are taken up, the id is read again after so many milliseconds, and a job waits for it after as many: the queue's Redis
 * may have lost its data, and another process may have made another id.
 */
const ID_INTERVAL = 100;
const OLD_ID = 1_000;

/** Milliseconds: synchronised clocks differ by less. */
const MOST_AHEAD = 1_000;

const contexts = new WeakMap<JobWorker, WorkerContext>();
/** The closed `Redlock`s that have warned of a worker that is still open. */
const reported = new WeakSet<Engine>();

/** Finds the context of the worker that runs a job. */
export function contextOf(job: Job): WorkerContext {
  const worker = workerOf(job);
  let context = contexts.get(worker);
  if (context === undefined) {
    context = new WorkerContext(worker);
    contexts.set(worker, context);
  }
  return context;
}

/** What the wrapped jobs of one worker share. */
export class WorkerContext {
  readonly worker: JobWorker;
  /** Aborts when the worker begins to close. One listener serves all jobs: an emitter warns of more than ten. */
  readonly closing: AbortSignal;
  readonly activeJobs: ActiveJobs;
  readonly slots: WorkerSlots;
  readonly crowd: CrowdParker;
  /** Milliseconds that the clock of this process is ahead of the queue's Redis; 0 for a little, and while it is unknown. */
  clockAhead = 0;
  readonly #engines = new WeakSet<Engine>();
  /** How each `Redlock` that can wake jobs through this worker stops doing so, by the current id of the queue. */
  #waking = new Map<Engine, () => void>();
  /** The same by the id before: jobs that were parked under it still have to be woken. */
  #formerlyWaking = new Map<Engine, () => void>();
  readonly #checked = new WeakSet<LockSettings>();
  readonly #warned = new Set<RedlockWarning["code"]>();
  /** Absent until it is known, and for a queue whose jobs cannot be woken. */
  #queueId: string | undefined;
  #reading: Promise<void> | undefined;
  /** When the id was read last, by the clock. */
  #readAt = -Infinity;

  constructor(worker: JobWorker) {
    this.worker = worker;
    this.activeJobs = new ActiveJobs(worker);
    this.slots = new WorkerSlots(worker);
    this.crowd = new CrowdParker(worker);
    const controller = new AbortController();
    if (worker.closing === undefined) worker.once?.("closing", () => controller.abort());
    else controller.abort();
    this.closing = controller.signal;
    worker.once?.("closed", () => {
      for (const stop of [...this.#formerlyWaking.values(), ...this.#waking.values()]) stop();
    });
  }

  /**
   * Prepares for a job: pauses this worker when the `Redlock` closes, and lets this process wake the parked jobs of its queue
   * until the worker closes.
   * @returns a promise while the id of the queue is being read for the job; {@link queueId} is set afterwards if the queue answers.
   */
  open(engine: Engine, job: Job, locks: JobLocks): Promise<void> | undefined {
    if (!this.#engines.has(engine)) this.#pauseWith(engine);
    if (this.#queueId === undefined && !canWake(this.worker)) return undefined;
    // @protection the id of a queue is read again
    const age = engine.clock.now() - this.#readAt;
    if (this.#queueId === undefined || age > OLD_ID) {
      const reading = within(engine.clock, this.#readId(engine), LONGEST_READ);
      return reading.then(() => this.#openQueue(engine, job, locks));
    }
    if (age > ID_INTERVAL) void this.#readId(engine);
    this.#openQueue(engine, job, locks);
    return undefined;
  }

  /** The id of the worker's queue; `undefined` when its jobs cannot be woken, or while the queue does not answer. */
  get queueId(): string | undefined {
    return this.#queueId;
  }

  /** Warns of settings of the worker, its lock and a job that do not fit together: of each once for a worker. */
  checkSettings(settings: LockSettings, job: Job): void {
    const { opts: options } = this.worker;
    // A job that was made by hand has no worker.
    if (options === undefined) return;
    const { engine } = settings;
    const found = mismatchesOfJob(job, settings);
    if (!this.#checked.has(settings)) {
      this.#checked.add(settings);
      const facts = {
        options,
        lockDuration: options.lockDuration ?? DEFAULT_LOCK_DURATION,
        ttl: settings.ttl,
        keepsFields: keepsFields(job),
        queueServer: engine.masterAt(options.connection),
      };
      found.push(...mismatchesOfWorker(facts, settings));
    }
    for (const { code, message } of found) {
      this.#warn(engine, { code, message: `queue ${queueNameOf(job)}: ${message}` });
    }
  }

  /** A worker with a closed `Redlock` would delay its jobs and take them up again, while other processes can run them. */
  #pauseWith(engine: Engine): void {
    this.#engines.add(engine);
    if (this.worker.pause === undefined) return;
    const forget = onAbort(engine.closing, () => this.#pause(engine));
    this.worker.once?.("closed", forget);
  }

  #pause(engine: Engine): void {
    const { worker } = this;
    if (worker.closing !== undefined || worker.pause === undefined) return;
    // Locally, and without waiting for active jobs: `Worker.close` still waits for them.
    void worker.pause(true);
    if (reported.has(engine)) return;
    reported.add(engine);
    const name = printable(worker.qualifiedName ?? "a queue");
    engine.events.emit("warning", {
      code: "closed-before-worker",
      message: `the Redlock was closed before the worker of ${name}, which is paused now because it can no longer acquire locks; close workers first, then their Redlock`,
    });
  }

  #openQueue(engine: Engine, job: Job, locks: JobLocks): void {
    const id = this.#queueId;
    if (id === undefined) return;
    const { waitLists } = engine;
    if (!this.#waking.has(engine)) {
      const adapter = new BullmqAdapter(id, this, job, engine, locks);
      waitLists.open(id, adapter);
      this.#waking.set(engine, () => waitLists.shut(id, adapter));
    }
    waitLists.noteServed(id);
  }

  /** The first jobs of a worker share one request. */
  #readId(engine: Engine): Promise<void> {
    const sentAt = engine.clock.wall();
    this.#reading ??= makeQueueId(this.worker, this.#queueId)
      .then(({ id, seconds }) => {
        this.#takeId(id);
        this.#takeTime(engine, seconds === undefined ? 0 : sentAt - (seconds + 1) * 1_000);
      })
      .catch((cause: unknown) => {
        if (this.#queueId !== undefined) return;
        const why = cause instanceof Error ? cause.message : describeValue(cause);
        const message = `the id of the queue ${this.worker.qualifiedName} could not be read (${why}): until it can, jobs are retried after a delay instead of being woken`;
        this.#warn(engine, { code: "queue-id-unknown", message, cause });
      })
      .finally(() => {
        this.#readAt = engine.clock.now();
        this.#reading = undefined;
      });
    return this.#reading;
  }

  /** The id differs from the one before when the queue's Redis has lost its data, and another process was first to notice. */
  #takeId(id: string): void {
    if (id === this.#queueId) return;
    this.#queueId = id;
    for (const stop of this.#formerlyWaking.values()) stop();
    this.#formerlyWaking = this.#waking;
    this.#waking = new Map();
  }

  /** @param ahead at least so many ms the clock of this process is ahead of the queue's Redis. */
  #takeTime(engine: Engine, ahead: number): void {
    this.clockAhead = ahead > MOST_AHEAD ? ahead : 0;
    if (this.clockAhead === 0) return;
    const message = `the clock of this process is ${Math.round(ahead / 1_000)} s ahead of that of the Redis of ${this.worker.qualifiedName}: a job that this worker has to delay waits in its worker slot; run NTP on both machines`;
    this.#warn(engine, { code: "clock-ahead", message });
  }

  #warn(engine: Engine, warning: RedlockWarning): void {
    if (this.#warned.has(warning.code)) return;
    this.#warned.add(warning.code);
    engine.events.emit("warning", warning);
  }
}
