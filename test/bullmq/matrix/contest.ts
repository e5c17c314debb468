import type { Job } from "bullmq";
import { setTimeout as work } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { type LockingProcessor, type Redlock, withLock } from "../../../src/index.ts";
import type { Account, JobSeen, Lane } from "./lane.ts";

/** How long a job works, in ms: long enough for the others to meet its lock. */
const WORK = 15;
const WORKERS = 2;
const SLOTS = 3;

/** The result of a contest. */
export interface Outcome {
  /** The most jobs that were at work on one account at the same time. */
  readonly most: number;
  /** The jobs that completed, as stored afterwards, in the order in which they completed. */
  readonly jobs: readonly JobSeen[];
  /** The failures of jobs and workers. */
  readonly errors: readonly string[];
}

/** Jobs that contend for keys on any number of queues, each with two workers of three slots. */
export class Contest {
  /** In the order in which the jobs got to work. */
  readonly started: string[] = [];
  readonly processor: LockingProcessor<Job<Account>>;
  readonly #running = new Map<string, number>();
  readonly #completed: { lane: Lane; id: string }[] = [];
  readonly #errors: string[] = [];
  #most = 0;
  #onProgress = (): void => undefined;

  constructor(redlock: Redlock) {
    this.processor = withLock(
      { redlock, key: "account:{{data.account}}" },
      async (job: Job<Account>) => {
        const { account } = job.data;
        const running = (this.#running.get(account) ?? 0) + 1;
        this.#running.set(account, running);
        this.#most = Math.max(this.#most, running);
        this.started.push(job.name);
        await work(WORK);
        this.#running.set(account, (this.#running.get(account) ?? 0) - 1);
        return `done ${job.name}`;
      },
    );
  }

  /** Puts the workers on a lane. */
  open(lane: Lane, slots = SLOTS): void {
    for (let count = 0; count < WORKERS; count += 1) {
      const worker = lane.work(this.processor, slots);
      worker.on("completed", (job) => {
        this.#completed.push({ lane, id: job.id! });
        this.#onProgress();
      });
      worker.on("failed", (job, error) => this.#report(`job ${job?.id}: ${error.message}`));
      worker.on("error", (error) => this.#report(`worker: ${error.message}`));
    }
  }

  /** How many jobs are at work now. */
  get running(): number {
    return [...this.#running.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Resolves when so many jobs have completed, or something failed. */
  async ended(count: number): Promise<Outcome> {
    await new Promise<void>((resolve) => {
      this.#onProgress = () => {
        if (this.#completed.length >= count || this.#errors.length > 0) resolve();
      };
      // A test that failed leaves no waiter behind.
      onTestFinished(() => resolve());
      this.#onProgress();
    });
    const jobs = await Promise.all(
      this.#completed.map(async ({ lane, id }) => (await lane.queue.getJob(id))!),
    );
    return { most: this.#most, jobs, errors: this.#errors };
  }

  #report(error: string): void {
    this.#errors.push(error);
    this.#onProgress();
  }
}
