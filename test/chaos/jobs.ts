import { setTimeout as delay } from "node:timers/promises";
import { Queue } from "bullmq";

/** Milliseconds between two jobs. */
const ADD_EVERY = 90;
/**
 * Milliseconds after the faults and the last job until all must be done. On an idle machine it takes a tenth of that: a job that
 * lost its lock is put back for up to five seconds, and one that a killed worker had comes back after three.
 */
const DONE_WITHIN = 90_000;

/** What became of the jobs. */
export interface JobReport {
  readonly added: number;
  readonly completed: number;
  readonly failed: number;
  /** Neither, although nothing goes wrong any more. */
  readonly left: number;
}

/** Jobs that come in evenly, of a few entities. */
export class Jobs implements AsyncDisposable {
  readonly #queue: Queue<{ key: string }>;
  readonly #keys: readonly string[];
  readonly #timer: NodeJS.Timeout;
  readonly #adding: Promise<unknown>[] = [];

  constructor(url: string, keys: readonly string[]) {
    this.#queue = new Queue("orders", { connection: { url } });
    this.#keys = keys;
    this.#timer = setInterval(() => this.#add(), ADD_EVERY);
  }

  /** Adds no more, and resolves when all are done, or it takes too long. */
  async finish(): Promise<JobReport> {
    clearInterval(this.#timer);
    await Promise.all(this.#adding);
    const deadline = performance.now() + DONE_WITHIN;
    for (;;) {
      const counts = await this.#queue.getJobCounts();
      const added = this.#adding.length;
      const { completed = 0, failed = 0 } = counts;
      const left = added - completed - failed;
      if (left === 0 || performance.now() > deadline) return { added, completed, failed, left };
      await delay(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#queue.close();
  }

  #add(): void {
    const key = this.#keys[this.#adding.length % this.#keys.length] ?? "";
    // An attempt is used when a lock was lost again and again: that is no failure of the job.
    this.#adding.push(this.#queue.add("order", { key }, { attempts: 1_000 }));
  }
}
