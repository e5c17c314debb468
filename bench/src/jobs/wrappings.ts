import { randomUUID } from "node:crypto";
import { DelayedError, type Processor } from "bullmq";
import { Redlock, withLock } from "../../../dist/index.js";
import { pair } from "../clients.ts";
import { OURS, PLAIN } from "../contenders.ts";
import { openLowerBound, TakenError } from "../contenders/lower-bound.ts";
import type { JobData } from "./load.ts";

/** Does the work of a job. */
export type Work = (data: JobData) => Promise<void>;

/** A processor, and what ends with it. */
export interface Wrapped {
  readonly process: Processor<JobData>;
  /** Takes and gives back a key, so that all connections are there. */
  connect(): Promise<void>;
  close(): Promise<void>;
}

export const WITHOUT = "no lock";
/** Ours, with jobs that wait in their worker slots. */
export const WAITING = `${OURS}, "wait"`;
/** Ours, four jobs of a key at a time. */
export const LIMITED = "withLock, limit 4";
export const LIMITED_WAITING = `${LIMITED}, "wait"`;
export const POLLING = "polling every 100 ms";

/** Milliseconds between two tries of a job that polls. */
const POLL = 100;

/** The ways to put a lock around the work of a job, by name. */
export const WRAPPINGS: Readonly<Record<string, (urls: readonly string[], work: Work) => Wrapped>> =
  {
    [WITHOUT]: (_, work) => ({
      process: ({ data }) => work(data),
      connect: async () => {},
      close: async () => {},
    }),
    [PLAIN]: wrapByHand,
    [POLLING]: wrapPolling,
    [OURS]: (urls, work) => wrapWithLock(urls, work),
    [WAITING]: (urls, work) => wrapWithLock(urls, work, { onConflict: "wait" }),
    [LIMITED]: (urls, work) => wrapWithLock(urls, work, { limit: 4 }),
    [LIMITED_WAITING]: (urls, work) => wrapWithLock(urls, work, { limit: 4, onConflict: "wait" }),
  };

/** Ours by its defaults; `ttl` for those who hold or wait for very long. */
export function wrapWithLock(
  urls: readonly string[],
  work: Work,
  {
    ttl,
    limit = 1,
    onConflict = "delay",
  }: { ttl?: number; limit?: number; onConflict?: "delay" | "wait" } = {},
): Wrapped {
  const redlock = new Redlock({
    nodes: [...urls],
    restartGuard: "trust-new",
    ...(ttl === undefined ? {} : { ttl }),
  });
  const process = withLock({ redlock, key: "{{data.key}}", limit, onConflict }, ({ data }) =>
    work(data as JobData),
  );
  return {
    process: process as Processor<JobData>,
    async connect() {
      await (await redlock.acquire(randomUUID())).release();
    },
    close: () => redlock.close(),
  };
}

/** The least around a job: no heartbeat, no signal, no policy, nothing when the key is taken. */
function wrapByHand(urls: readonly string[], work: Work): Wrapped {
  const client = openLowerBound(urls, false);
  return {
    async process({ data }) {
      const release = await client.acquire(data.key);
      await work(data);
      await release();
    },
    connect: () => pair(client, randomUUID()),
    close: () => client.close(),
  };
}

/** What people write by hand: a job that does not get its key is moved to the delayed set for a while, again and again. */
function wrapPolling(urls: readonly string[], work: Work): Wrapped {
  const client = openLowerBound(urls, false);
  return {
    async process(job, jobToken) {
      const release = await client.acquire(job.data.key).catch((error: unknown) => {
        if (error instanceof TakenError) return undefined;
        throw error;
      });
      if (release === undefined) {
        await job.moveToDelayed(Date.now() + POLL, jobToken);
        throw new DelayedError();
      }
      await work(job.data);
      await release();
    },
    connect: () => pair(client, randomUUID()),
    close: () => client.close(),
  };
}
