import { setTimeout as sleep } from "node:timers/promises";
import type { Queue } from "bullmq";
import { RedlockError } from "../errors.ts";
import { type Invocation, UsageError } from "./command.ts";

/** The options that choose a queue. */
export const QUEUE_OPTIONS = ["queue", "redis", "queue-prefix"] as const;

/** The part of `--help` about {@link QUEUE_OPTIONS}. */
export const QUEUE_HELP = `  --queue NAME    the queue; needed with the bare id of a job
  --redis URL     the Redis of the queue, which is no lock master. Use the variable
                  BULLMQ_REDLOCK_REDIS for a URL with a password
  --queue-prefix TEXT  the prefix of BullMQ; default "bull"`;

/** Process lists show command lines; a URL with a password goes into this variable. */
const VARIABLE = "BULLMQ_REDLOCK_REDIS";

/** A job, as an operator names it. */
export interface JobName {
  readonly prefix: string;
  readonly queue: string;
  readonly id: string;
}

/** Reads the job that a command takes: its id, or `prefix:queue:id` as commands print it. @throws {UsageError} */
export function readJobName(command: string, { operands, options }: Invocation): JobName {
  const [name, ...more] = operands;
  const { queue, "queue-prefix": prefix = "bull" } = options;
  const whole = /^(?<prefix>[^:]+):(?<queue>[^:]+):(?<id>.+)$/s.exec(name ?? "")?.groups;
  if (name !== undefined && more.length === 0) {
    if (queue !== undefined) {
      const start = `${prefix}:${queue}:`;
      return { prefix, queue, id: name.startsWith(start) ? name.slice(start.length) : name };
    }
    if (whole !== undefined) return whole as unknown as JobName;
  }
  throw new UsageError(
    `${command} takes one job, as in: bullmq-redlock ${command} bull:invoices:17, or: ${command} 17 --queue invoices`,
  );
}

/**
 * Opens a queue for the time that `use` takes, and writes nothing to it.
 * @throws {UsageError} when its Redis is not named, or does not answer.
 */
export async function withQueue<T>(
  { options, environment }: Invocation,
  { prefix, queue: name }: JobName,
  timeout: number,
  use: (queue: Queue) => Promise<T>,
): Promise<T> {
  const url = options.redis ?? environment[VARIABLE];
  if (url === undefined || url === "") {
    throw new UsageError(`no Redis of the queue given: expected --redis URL, or ${VARIABLE}`);
  }
  const { Queue } = await loadBullmq();
  const queue = new Queue(name, {
    connection: {
      url,
      connectTimeout: timeout,
      commandTimeout: timeout,
      retryStrategy: () => null,
      maxRetriesPerRequest: null,
    },
    prefix,
    skipMetasUpdate: true,
    skipVersionCheck: true,
  });
  // The request that fails reports it.
  queue.on("error", () => undefined);
  const stop = new AbortController();
  const { signal } = stop;
  try {
    const late = sleep(timeout, undefined, { signal }).then(() => {
      throw new Error(`no answer within ${timeout} ms`);
    });
    late.catch(() => undefined);
    await Promise.race([queue.waitUntilReady(), late]);
    return await use(queue);
  } catch (error) {
    if (error instanceof RedlockError || !(error instanceof Error)) throw error;
    throw new UsageError(`the Redis of the queue does not answer: ${error.message}`);
  } finally {
    stop.abort();
    await queue.close().catch(() => undefined);
  }
}

async function loadBullmq() {
  try {
    return await import("bullmq");
  } catch (error) {
    if ((error as { code?: string }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new UsageError("bullmq is not installed: run this command where your workers run");
  }
}
