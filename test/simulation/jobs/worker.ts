import type { Job, Processor } from "bullmq";
import { WAIT_FIELD } from "../../../src/bullmq/job-wait.ts";
import type { Random } from "../../../src/random.ts";
import type { Host } from "../host.ts";
import type { Timeline } from "../timeline.ts";
import type { JobQueue, StoredJob } from "./queue.ts";

/** Milliseconds of BullMQ's lock of a job, and between two checks for stalled jobs. */
const LOCK_DURATION = 4_000;

/** What a {@link SimulatedWorker} works with. */
interface WorkerParts {
  readonly host: Host;
  readonly timeline: Timeline;
  readonly random: Random;
  readonly queue: JobQueue;
  readonly slots: number;
  readonly processor: Processor;
  /** Milliseconds a command to the queue is under way, at most. */
  readonly latency: number;
  /** Share of the commands of a job that fail with their connection, before or after they are carried out. */
  readonly loss: () => number;
  readonly onLoss: () => void;
}

let workers = 0;

/** A worker of BullMQ on a simulated machine; it is also what BullMQ's types call the queue of its jobs. */
export class SimulatedWorker {
  readonly opts: { lockDuration: number };
  readonly qualifiedName: string;
  readonly concurrency: number;
  readonly backend: SimulatedStore;
  readonly processFn: Processor;
  closing: Promise<void> | undefined;
  readonly parts: WorkerParts;
  readonly #id = (workers += 1);
  readonly #listeners = new Map<string, (() => void)[]>();
  #running = 0;
  /** When the last command will have arrived: one connection keeps the order. */
  #busyUntil = 0;

  constructor(parts: WorkerParts) {
    this.parts = parts;
    this.opts = { lockDuration: LOCK_DURATION };
    this.qualifiedName = `bull:${parts.queue.name}`;
    this.concurrency = parts.slots;
    this.processFn = parts.processor;
    this.backend = new SimulatedStore(this);
  }

  /** Takes up jobs from now on. */
  run(): void {
    for (let slot = 0; slot < this.parts.slots; slot++) void this.#serve(slot);
    this.#checkStalled();
  }

  toKey(id: string): string {
    return id;
  }

  once(event: string, listener: () => void): this {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    return this;
  }

  /** Takes no more jobs; resolves when none runs. */
  async close(): Promise<void> {
    this.closing = Promise.resolve();
    this.#emit("closing");
    while (this.#running > 0) await this.#sleep(1);
    this.#emit("closed");
  }

  /** Sends a command of a job, whose connection may break. */
  async ask<R>(execute: (queue: JobQueue) => R): Promise<R> {
    const { loss, onLoss, random } = this.parts;
    const share = loss();
    const breaks = share > 0 && random.fraction() < share;
    if (!breaks) return await this.send(execute);
    onLoss();
    const arrives = random.fraction() < 0.5;
    await this.send((queue) => (arrives ? execute(queue) : undefined)).catch(() => {});
    throw new Error("Connection is closed.");
  }

  /** Sends a command to the queue, and receives the answer. */
  send<R>(execute: (queue: JobQueue) => R): Promise<R> {
    const { host, timeline, random, queue, latency } = this.parts;
    const arrival = Math.max(this.#busyUntil, timeline.now + latency * (0.2 + random.fraction()));
    this.#busyUntil = arrival;
    return new Promise((resolve, reject) => {
      timeline.in(arrival - timeline.now, () => {
        const settle = outcomeOf(() => execute(queue), resolve, reject);
        timeline.in(latency * 0.6, () => host.deliver(settle));
      });
    });
  }

  async #serve(slot: number): Promise<void> {
    const { queue, processor, host } = this.parts;
    for (let reservation = 1; this.closing === undefined; reservation++) {
      const token = `worker-${this.#id}:${slot}:${reservation}`;
      const stored = await this.send(() => queue.moveToActive(token, LOCK_DURATION, host));
      if (stored === undefined) {
        await this.#nextJob();
        continue;
      }
      this.#running += 1;
      const job = new SimulatedJob(this, stored);
      await this.#process(job, token, processor);
      this.#running -= 1;
    }
  }

  async #process(job: SimulatedJob, token: string, processor: Processor): Promise<void> {
    const cancel = new AbortController();
    const end = async (how: "completed" | "failed", result: unknown): Promise<void> => {
      await this.send((queue) => queue.finish(job.id, token, how, result)).catch(() => {});
    };
    try {
      const result: unknown = await processor(job as unknown as Job, token, cancel.signal);
      await end("completed", result);
    } catch (error) {
      if ((error as Error).name !== "DelayedError") await end("failed", error);
    }
  }

  /** BullMQ's blocking read. */
  #nextJob(): Promise<void> {
    const { host, timeline, queue, random } = this.parts;
    return new Promise((resolve) => {
      queue.sleep(() => timeline.in(random.fraction(), () => host.deliver(resolve)));
    });
  }

  #checkStalled(): void {
    const { host } = this.parts;
    host.timer(LOCK_DURATION, () => {
      if (this.closing !== undefined) return;
      void this.send((queue) => queue.checkStalled());
      this.#checkStalled();
    });
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.parts.host.timer(ms, resolve);
    });
  }

  #emit(event: string): void {
    for (const listener of this.#listeners.get(event) ?? []) listener();
    this.#listeners.delete(event);
  }
}

/** The parts of BullMQ's storage that the library uses. */
class SimulatedStore {
  readonly redisPrefix = "bull";
  /** The Redis of the queue, as BullMQ's adapters offer it. */
  readonly client = Promise.resolve({
    defineCommand: () => {},
    // Not the id that the library draws: lines are sorted by it, and the same seed would be another run each time.
    runCommand: (name: string, args: readonly string[]): Promise<string | string[]> =>
      this.#worker.ask((queue) => {
        if (name === "bullmqRedlockActive") return queue.active;
        if (name === "bullmqRedlockWake") return wake(queue, args.slice(8));
        if (name === "bullmqRedlockNext") return queue.next(Number(args.at(-1)));
        if (name === "bullmqRedlockPark") return park(queue, args.slice(5));
        // No worker here forgets when a job is due.
        if (name === "bullmqRedlockRemind") return [];
        return `${Math.floor(queue.wall / 1_000)} ${queue.keepId(args.at(-1))}`;
      }),
  });
  readonly #worker: SimulatedWorker;

  constructor(worker: SimulatedWorker) {
    this.#worker = worker;
  }

  moveToDelayed(
    id: string,
    timestamp: number,
    delay: number,
    token: string | undefined,
    { fieldsToUpdate }: { fieldsToUpdate: Readonly<Record<string, string>> },
  ): Promise<void> {
    return this.#worker.ask((queue) =>
      queue.moveToDelayed(id, token ?? "", timestamp + delay, fieldsToUpdate),
    );
  }

  paginate(id: string): Promise<{ items: { id: string; v: unknown }[] }> {
    return this.#worker.ask(({ jobs }) => ({
      items: Object.entries(jobs.get(id)?.fields ?? {}).map(([name, value]) => ({
        id: name,
        v: JSON.parse(value) as unknown,
      })),
    }));
  }
}

/** The parts of BullMQ's `Job` that the library uses. */
export class SimulatedJob {
  readonly queue: SimulatedWorker;
  readonly id: string;
  readonly queueName: string;
  readonly name = "job";
  data: { readonly keys: readonly string[] };
  readonly opts: { readonly attempts: number };
  readonly stacktrace: string[] = [];
  readonly timestamp: number;
  readonly priority: number;
  readonly attemptsMade: number;
  readonly attemptsStarted: number;
  readonly stalledCounter: number;

  constructor(worker: SimulatedWorker, stored: StoredJob) {
    this.queue = worker;
    this.id = stored.id;
    this.opts = { attempts: stored.attempts };
    this.queueName = worker.parts.queue.name;
    this.data = { keys: stored.keys };
    this.timestamp = stored.timestamp;
    this.priority = stored.priority;
    this.attemptsMade = stored.attemptsMade;
    this.attemptsStarted = stored.attemptsStarted;
    this.stalledCounter = stored.stalledCounter;
  }

  static async fromId(worker: SimulatedWorker, id: string): Promise<SimulatedJob | undefined> {
    const stored = await worker.ask(({ jobs }) => {
      const job = jobs.get(id);
      return job === undefined ? undefined : { ...job };
    });
    return stored === undefined ? undefined : new SimulatedJob(worker, stored);
  }

  moveToDelayed(timestamp: number, token = ""): Promise<void> {
    return this.queue.ask((queue) => queue.moveToDelayed(this.id, token, timestamp));
  }

  extendLock(token: string, duration: number): Promise<number> {
    return this.queue.ask((queue) => queue.extendLock(this.id, token, duration));
  }

  promote(): Promise<void> {
    return this.queue.ask((queue) => queue.promote(this.id));
  }

  changePriority({ priority, lifo }: { priority: number; lifo: boolean }): Promise<void> {
    return this.queue.ask((queue) => queue.changePriority(this.id, priority, lifo));
  }

  async updateData(data: SimulatedJob["data"]): Promise<void> {
    this.data = data;
    await this.queue.ask((queue) => queue.move(this.id, data.keys));
  }

  async getState(): Promise<string> {
    return await this.queue.ask(({ jobs }) => jobs.get(this.id)?.state ?? "unknown");
  }

  log(): Promise<number> {
    return this.queue.ask(() => 1);
  }
}

/** The twin of `bullmq/wake-script.ts`. */
function wake(queue: JobQueue, [id = "", since, run, isAhead, at]: readonly string[]): string {
  const job = queue.jobs.get(id);
  if (job === undefined || Math.floor(job.timestamp) !== Number(since)) return "gone";
  const { attemptsStarted, attemptsMade, stalledCounter } = job;
  const isUnderWay = attemptsStarted - attemptsMade - stalledCounter > 0;
  const hasLeft = attemptsStarted > 0 || job.state === "delayed";
  if (attemptsStarted > Number(run) || (isAhead === "1" && !isUnderWay && hasLeft)) return "moved";
  if (at !== undefined) {
    queue.hasten(job, Number(at));
    return "sooner";
  }
  if (attemptsStarted === 0) job.fields = { [WAIT_FIELD]: "{}" };
  if (queue.paused) return "special";
  return queue.wakeFirst(job) ? "woken" : "moved";
}

/** The twin of `bullmq/park-script.ts`. @returns the ids of the jobs that were moved. */
function park(queue: JobQueue, [now, ...jobs]: readonly string[]): string[] {
  const parked: string[] = [];
  for (let i = 0; i < jobs.length; i += 5) {
    const [id = "", since, delay, field = ""] = jobs.slice(i, i + 5);
    const job = queue.jobs.get(id);
    if (job === undefined || String(job.timestamp) !== since) continue;
    if (job.attemptsStarted > 0 || job.fields[WAIT_FIELD] !== undefined) continue;
    const until = Number(now) + Number(delay);
    if (queue.parkWaiting(job, until, { [WAIT_FIELD]: field })) parked.push(id);
  }
  return parked;
}

function outcomeOf<R>(
  execute: () => R,
  resolve: (value: R) => void,
  reject: (error: unknown) => void,
): () => void {
  try {
    const value = execute();
    return () => resolve(value);
  } catch (error) {
    return () => reject(error);
  }
}
