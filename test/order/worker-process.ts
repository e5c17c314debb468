import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Queue, QueueEvents, type Job, type WorkerOptions } from "bullmq";
import { onTestFinished } from "vitest";
import type { WithLockOptions } from "../../src/index.ts";
import { forkProgram, untilReady } from "../support/program.ts";
import { redisClient } from "../support/redis.ts";

const PROGRAM = fileURLToPath(new URL("programs/worker.ts", import.meta.url));

/** The data of a job: one of the steps of an entity. */
export interface Step {
  entity: string;
  index: number;
  /** Milliseconds that it takes. */
  ms: number;
  /** How many attempts fail before one succeeds. */
  failures?: number;
}

/** The task of a worker process. */
export interface WorkerTask {
  readonly queueUrl: string;
  readonly masterUrls: readonly string[];
  readonly concurrency: number;
  readonly policies: Partial<Omit<WithLockOptions, "redlock" | "key">>;
  /** How BullMQ detects the jobs of killed workers. */
  readonly stalls?: Pick<WorkerOptions, "lockDuration" | "stalledInterval">;
}

/** A worker in a process of its own; it is gone when the test ends. */
export async function startWorker(task: WorkerTask): Promise<ChildProcess> {
  const child = await forkProgram(PROGRAM, task);
  await untilReady(child);
  return child;
}

/** A queue of steps, and the steps that have run. */
export interface Steps {
  readonly queue: Queue<Step>;
  ended(jobs: readonly Job<Step>[]): Promise<void>;
  /** The indexes of the steps of an entity, in the order in which they started, or succeeded. */
  journal(what: "started" | "succeeded", entity: string): Promise<number[]>;
}

/** Makes the queue that {@link startWorker} serves; closed when the test ends. */
export async function makeSteps(queueUrl: string): Promise<Steps> {
  const connection = { url: queueUrl };
  const queue = new Queue<Step>("steps", { connection });
  const events = new QueueEvents("steps", { connection });
  const client = redisClient(queueUrl);
  onTestFinished(async () => {
    await events.close();
    await queue.close();
  });
  await events.waitUntilReady();
  events.setMaxListeners(0);
  queue.setMaxListeners(0);
  return {
    queue,
    ended: async (jobs) => {
      await Promise.all(jobs.map(async (job) => await job.waitUntilFinished(events)));
    },
    journal: async (what, entity) =>
      (await client.lrange(`${what}:${entity}`, "0", "-1")).map(Number),
  };
}
