import { createPostgresBackend, type Job, Queue, withBackend, Worker } from "bullmq";
import { Queue as Queue5, Worker as Worker5 } from "bullmq5";
import { randomUUID } from "node:crypto";
import { createClient } from "redis";
import { onTestFinished } from "vitest";
import type { LockingProcessor } from "../../../src/index.ts";

/** The data of every job: all with the same account contend for the same key. */
export interface Account {
  account: string;
}

/** A job to add. */
export interface JobToAdd {
  name: string;
  data: Account;
  opts?: { priority?: number };
}

/** The fields of a job that tests read, in all versions of BullMQ and all stores. */
export interface JobSeen {
  id?: string | undefined;
  attemptsMade: number;
  priority: number;
  finishedOn?: number | undefined;
  returnvalue: unknown;
}

/** What the scenarios need of a queue. */
export interface QueueLike {
  addBulk(jobs: JobToAdd[]): Promise<unknown[]>;
  getJob(id: string): Promise<JobSeen | undefined>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  close(): Promise<void>;
}

/** What the scenarios need of a worker. */
export interface WorkerLike {
  on(event: "completed", listener: (job: JobSeen) => void): unknown;
  on(event: "failed", listener: (job: JobSeen | undefined, error: Error) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  close(): Promise<void>;
}

/** A queue, and a way to put workers on it; all is closed when the test ends. */
export interface Lane {
  readonly queue: QueueLike;
  work(processor: LockingProcessor<Job<Account>>, concurrency: number): WorkerLike;
}

/** A queue of BullMQ 6 on Redis. */
export function redisLane(url: string, { name = "invoices", prefix = "bull" } = {}): Lane {
  const connection = { url };
  return tidy({
    queue: new Queue(name, { connection, prefix }),
    work: (processor, concurrency) =>
      new Worker(name, processor, { connection, prefix, concurrency }),
  });
}

/** A queue of BullMQ 6 on Redis, which it reaches by `node-redis`. */
export async function nodeRedisLane(url: string): Promise<Lane> {
  const client = createClient({ url });
  await client.connect();
  onTestFinished(() => client.destroy());
  const connection = client as never;
  return tidy({
    queue: new Queue("invoices", { connection }),
    work: (processor, concurrency) =>
      new Worker("invoices", processor, { connection, concurrency }),
  });
}

const onPostgres = withBackend(createPostgresBackend);

/** A queue of BullMQ 6 in PostgreSQL. */
export async function postgresLane(url: string): Promise<Lane> {
  const connection = { connectionString: url };
  // Names of queues are tables' rows: each test has its own.
  const name = `invoices-${randomUUID()}`;
  const queue = new onPostgres.Queue(name, { connection: { ...connection, migrate: true } });
  await queue.waitUntilReady();
  return tidy({
    queue,
    work: (processor, concurrency) =>
      new onPostgres.Worker(name, processor, { connection, concurrency }),
  });
}

/** A queue of the oldest BullMQ that is supported. */
export function oldestLane(url: string): Lane {
  const connection = { url };
  return tidy({
    queue: new Queue5("invoices", { connection }),
    work: (processor, concurrency) =>
      // The jobs of the two versions differ in their types.
      new Worker5("invoices", processor as never, { connection, concurrency }),
  });
}

/** Sees to it that a lane is closed, workers first. */
export function tidy(lane: Lane): Lane {
  const workers: WorkerLike[] = [];
  onTestFinished(async () => {
    await Promise.all(workers.map((worker) => worker.close()));
    await lane.queue.close();
  });
  return {
    queue: lane.queue,
    work: (processor, concurrency) => {
      const worker = lane.work(processor, concurrency);
      workers.push(worker);
      return worker;
    },
  };
}
