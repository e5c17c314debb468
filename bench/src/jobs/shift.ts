import { setTimeout as delay } from "node:timers/promises";
import { type ConnectionOptions, Worker } from "bullmq";
import { sharedNow } from "./clock.ts";
import type { JobData } from "./load.ts";
import { WRAPPINGS, type Wrapped, type Work } from "./wrappings.ts";

/** What became of one job. Times are those of `sharedNow`, in ms. */
export interface JobRecord {
  readonly index: number;
  readonly key: string;
  /** When its work began and ended. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** When BullMQ had written that it is done. */
  readonly completedAt: number;
  /** How often a worker has taken it up. */
  readonly activations: number;
}

/** How jobs are run. */
export interface ShiftOptions {
  readonly queues: readonly string[];
  readonly connection: ConnectionOptions;
  /** Jobs at the same time in each queue. */
  readonly concurrency: number;
}

/** Milliseconds between two looks at a condition. */
const LOOK = 10;

/** Workers of this process that run jobs and write down when. */
export class Shift {
  readonly records: JobRecord[] = [];
  /** How often any job has been taken up. */
  activations = 0;
  readonly #times = new Map<number, { startedAt: number; endedAt: number }>();
  readonly #workers: readonly Worker<JobData>[];
  readonly #failures: Error[] = [];
  readonly #wrapped: Wrapped;
  #running: Promise<unknown> = Promise.resolve();
  #hurried = false;

  /** @param wrap how the work is wrapped; its client ends with the shift */
  constructor(wrap: (work: Work) => Wrapped, { queues, connection, concurrency }: ShiftOptions) {
    this.#wrapped = wrap(async ({ index, ms }) => {
      const startedAt = sharedNow();
      if (!this.#hurried && ms > 0) await delay(ms);
      this.#times.set(index, { startedAt, endedAt: sharedNow() });
    });
    this.#workers = queues.map((name) => this.#open(name, { connection, concurrency }));
  }

  /** Opens a shift of a wrapping by its name. */
  static of(wrapping: string, masters: readonly string[], options: ShiftOptions): Shift {
    const wrap = WRAPPINGS[wrapping];
    if (wrap === undefined) throw new Error(`an unknown wrapping "${wrapping}"`);
    return new Shift((work) => wrap(masters, work), options);
  }

  /** Resolves when all workers are connected. */
  async ready(): Promise<void> {
    await this.#wrapped.connect();
    await Promise.all(this.#workers.map((worker) => worker.waitUntilReady()));
  }

  /** Begins to work. @returns when, in ms of `sharedNow` */
  start(): number {
    const startedAt = sharedNow();
    this.#running = Promise.all(this.#workers.map((worker) => worker.run()));
    return startedAt;
  }

  /** Resolves when `condition` is true. @throws what a job has thrown */
  async until(condition: () => boolean | Promise<boolean>): Promise<void> {
    for (;;) {
      const [failure] = this.#failures;
      if (failure !== undefined) throw failure;
      if (await condition()) return;
      await delay(LOOK);
    }
  }

  /** From now on jobs take no time: what is measured is over. */
  hurry(): void {
    this.#hurried = true;
  }

  /** Ends when what runs has settled. */
  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
    await this.#running;
    await this.#wrapped.close();
  }

  #open(name: string, options: Omit<ShiftOptions, "queues">): Worker<JobData> {
    const worker = new Worker<JobData>(name, this.#wrapped.process, {
      ...options,
      autorun: false,
      removeOnComplete: { count: 0 },
    });
    worker.on("active", () => (this.activations += 1));
    worker.on("completed", (job) => {
      const { index, key } = job.data;
      const times = this.#times.get(index);
      if (times === undefined) return;
      this.#times.delete(index);
      this.records.push({
        index,
        key,
        ...times,
        completedAt: sharedNow(),
        activations: job.attemptsStarted,
      });
    });
    worker.on("failed", (_, error) => this.#failures.push(error));
    worker.on("error", (error) => this.#failures.push(error));
    return worker;
  }
}
