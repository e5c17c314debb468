import { Queue, Worker, type Job, type Processor, type WorkerOptions } from "bullmq";
import { onTestFinished } from "vitest";
import { REAL_RUNTIME, type Runtime } from "../../src/redlock/make-context.ts";
import { RedlockOn } from "../../src/redlock/redlock.ts";
import { type Redlock, type RedlockEvents, type RedlockOptions } from "../../src/index.ts";
import { useRedisNodes } from "../support/redis.ts";

/** A queue's Redis and lock masters of its own, with everything on them closed when the test ends. */
export interface Bench {
  readonly queueUrl: string;
  readonly masterUrls: readonly string[];
  redlock(options?: RedlockOptions, runtime?: Runtime): Redlock;
  queue(name?: string): Queue;
  /** A worker whose errors are collected in {@link errorsOf}. */
  worker(processor: Processor, options?: Partial<WorkerOptions> & { name?: string }): Worker;
  /** Stops all masters, or all but the first ones. */
  freeze(from?: number): void;
  thaw(): void;
}

/** The default name of queues and workers. */
export const QUEUE = "invoices";
/** Long enough for a grant on a busy machine, short enough to wait for its end. */
export const TTL = 1_000;

const errors = new WeakMap<Worker, Error[]>();

/** The errors that a worker has emitted. */
export function errorsOf(worker: Worker): Error[] {
  return errors.get(worker) ?? [];
}

/** Starts the servers of a test file. */
export function useBench(masters = 3): Bench {
  const nodes = useRedisNodes(masters + 1);
  const bench: Bench = {
    get queueUrl() {
      return nodes.urls[0]!;
    },
    get masterUrls() {
      return nodes.urls.slice(1);
    },
    redlock: (options = {}, runtime = REAL_RUNTIME) => {
      const all: RedlockOptions = {
        nodes: bench.masterUrls,
        restartGuard: "trust-new",
        ttl: TTL,
        nodeTimeout: 250,
        ...options,
      };
      const redlock = new RedlockOn(all, runtime);
      onTestFinished(async () => await redlock.close());
      return redlock;
    },
    queue: (name = QUEUE) => {
      const queue = new Queue(name, { connection: { url: bench.queueUrl } });
      onTestFinished(async () => await queue.close());
      return queue;
    },
    worker: (processor, { name = QUEUE, ...options } = {}) => {
      const worker = new Worker(name, processor, {
        connection: { url: bench.queueUrl },
        ...options,
      });
      const emitted: Error[] = [];
      errors.set(worker, emitted);
      worker.on("error", (error) => emitted.push(error));
      onTestFinished(async () => await worker.close());
      return worker;
    },
    freeze: (from = 0) =>
      bench.masterUrls.slice(from).forEach((_, index) => nodes.pause(from + index + 1)),
    thaw: () => bench.masterUrls.forEach((_, index) => nodes.resume(index + 1)),
  };
  return bench;
}

/** How a job ended. */
export interface End {
  job: Job;
  result?: unknown;
  error?: Error;
}

/** Resolves with the next `count` jobs that complete or fail for good, in the order of their ends. */
export function ends(worker: Worker, count: number): Promise<End[]> {
  const ended: End[] = [];
  return new Promise((resolve) => {
    const add = (end: End): void => {
      ended.push(end);
      if (ended.length === count) resolve(ended);
    };
    worker.on("completed", (job, result: unknown) => add({ job, result }));
    worker.on("failed", (job, error) => {
      if (job !== undefined && job.finishedOn !== undefined) add({ job, error });
    });
  });
}

/** Resolves with the payload of the next event. */
export function next<K extends keyof RedlockEvents>(
  redlock: Redlock,
  event: K,
): Promise<RedlockEvents[K][0]> {
  return new Promise((resolve) => {
    const emitter: NodeJS.EventEmitter = redlock;
    emitter.once(event, (payload: RedlockEvents[K][0]) => resolve(payload));
  });
}

/** A promise that a test settles by hand. */
export class Gate<T = void> {
  readonly opened: Promise<T>;
  open!: (value: T) => void;

  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}

/** Resolves with the signal's reason when it aborts. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });
}

/** The error with which `promise` rejects. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}
