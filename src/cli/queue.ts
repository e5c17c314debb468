import { setTimeout as sleep } from "node:timers/promises";
import type { Queue } from "bullmq";
import { LockConfigError, RedlockError } from "../errors.ts";
import { parseUrl } from "../redis/address.ts";
import { UsageError } from "./arguments.ts";
import type { Invocation } from "./command.ts";

/** Process lists show command lines; a URL with a password goes into this variable. */
const VARIABLE = "BULLMQ_REDLOCK_REDIS";

interface JobName {
  readonly prefix: string;
  readonly queue: string;
  readonly id: string;
}

/** Reads the job that `why` takes: its id, or `prefix:queue:id` as commands print it. @throws {UsageError} */
export function readJobName({ operand, options }: Invocation): JobName {
  const { queue, "queue-prefix": prefix = "bull" } = options;
  if (queue !== undefined) {
    const start = `${prefix}:${queue}:`;
    return { prefix, queue, id: operand.startsWith(start) ? operand.slice(start.length) : operand };
  }
  const whole = /^(?<prefix>[^:]+):(?<queue>[^:]+):(?<id>.+)$/s.exec(operand)?.groups;
  if (whole !== undefined) return whole as unknown as JobName;
  throw new UsageError(
    "why takes one job, as in: bullmq-redlock why bull:invoices:17, or: why 17 --queue invoices",
  );
}

/**
 * Opens a queue for the time that `use` takes, and writes nothing to it.
 * @throws {UsageError} when its Redis is not named, or does not answer.
 */
export async function withQueue<T>(
  { options, timeout, environment }: Invocation,
  { prefix, queue: name }: JobName,
  use: (queue: Queue) => Promise<T>,
): Promise<T> {
  const url = options.redis ?? environment[VARIABLE];
  if (url === undefined || url === "") {
    throw new UsageError(`no Redis of the queue given: expected --redis URL, or ${VARIABLE}`);
  }
  checkUrl(options.redis === undefined ? VARIABLE : "--redis", url);
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

/** Refuses what ioredis would take for the path of a socket. A query has options of ioredis. @throws {UsageError} */
function checkUrl(source: string, url: string): void {
  try {
    parseUrl(source, url.replace(/\?.*$/s, ""));
  } catch (error) {
    throw error instanceof LockConfigError ? new UsageError(error.message) : error;
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
