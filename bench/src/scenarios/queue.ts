import { type ConnectionOptions, type Job, Queue, Worker } from "bullmq";
import { Redlock, withLock } from "../../../dist/index.js";
import { PLAIN, OURS } from "../contenders.ts";
import { openLowerBound } from "../contenders/lower-bound.ts";
import { ownCpu, serverCpu } from "../cpu.ts";
import type { Scenario } from "../scenario.ts";

/** Jobs of one run. */
const JOBS = 4_000;
const CONCURRENCY = 50;
/** Jobs added in one call. */
const BULK = 500;

type Processor = (job: Job, token?: string, signal?: AbortSignal) => Promise<unknown>;

/** How a job is run, and what ends with the run. */
interface Wrapping {
  readonly process: Processor;
  close(): Promise<void>;
}

const WITHOUT = "no lock";
const WRAPPINGS: Readonly<Record<string, (urls: readonly string[]) => Wrapping>> = {
  [WITHOUT]: () => ({ process: async () => {}, close: async () => {} }),
  [PLAIN]: wrapByHand,
  [OURS]: wrapWithLock,
};

/** Jobs that do nothing, each with a key of its own. */
export const queue: Scenario = {
  name: "queue",
  title: "A BullMQ queue of jobs that do nothing, 3 nodes",
  text:
    `One worker with concurrency ${CONCURRENCY} runs ${JOBS.toLocaleString("en")} jobs with distinct keys, all in the queue at ` +
    "the start; the queue has a Redis of its own. Ratios here are to the jobs without a lock.",
  nodes: 4,
  contenders: Object.keys(WRAPPINGS),
  columns: [
    { figure: "rate", title: "jobs/s", digits: 0, ratio: true },
    { figure: "cpu", title: "client CPU, µs a job", digits: 0, ratio: true },
    { figure: "serverCpu", title: "CPU of the lock masters, µs a job", digits: 0 },
  ],
  async prepare(contender, [queueUrl = "", ...masters]) {
    const wrapping = WRAPPINGS[contender]?.(masters);
    if (wrapping === undefined) throw new Error(`an unknown contender "${contender}"`);
    const connection = { url: queueUrl };
    const name = contender.replaceAll(" ", "-");
    const jobs = new Queue(name, { connection });
    const run = () => runJobs(jobs, wrapping.process, connection);
    await run();
    return {
      async run() {
        const before = await serverCpu(masters);
        const { ms, cpu } = await run();
        return {
          rate: (JOBS * 1_000) / ms,
          cpu: (cpu * 1_000) / JOBS,
          serverCpu: ((await serverCpu(masters)) - before) * (1_000 / JOBS),
        };
      },
      async close() {
        await jobs.close();
        await wrapping.close();
      },
    };
  },
};

async function runJobs(
  jobs: Queue,
  process: Processor,
  connection: ConnectionOptions,
): Promise<{ ms: number; cpu: number }> {
  await jobs.obliterate({ force: true });
  for (let added = 0; added < JOBS; added += BULK) {
    const bulk = Array.from({ length: BULK }, (_, i) => ({ name: "job", data: { id: added + i } }));
    await jobs.addBulk(bulk);
  }
  let left = JOBS;
  const failures: Error[] = [];
  const worker = new Worker(jobs.name, process, {
    connection,
    concurrency: CONCURRENCY,
    autorun: false,
    removeOnComplete: { count: 0 },
  });
  await worker.waitUntilReady();
  const done = new Promise<void>((resolve) => {
    worker.on("completed", () => (left -= 1) === 0 && resolve());
    worker.on("failed", (_, error) => failures.push(error) > 0 && resolve());
  });
  const cpu = ownCpu();
  const startedAt = performance.now();
  const running = worker.run();
  await done;
  const result = { ms: performance.now() - startedAt, cpu: ownCpu() - cpu };
  await worker.close();
  await running;
  const [failure] = failures;
  if (failure !== undefined) throw failure;
  return result;
}

function wrapWithLock(urls: readonly string[]): Wrapping {
  const redlock = new Redlock({ nodes: [...urls], restartGuard: "trust-new" });
  const process = withLock({ redlock, key: "entity:{{data.id}}" }, async () => {});
  return { process: process as Processor, close: () => redlock.close() };
}

/** The least around a job: no heartbeat, no signal, no policy, nothing when the key is taken. */
function wrapByHand(urls: readonly string[]): Wrapping {
  const client = openLowerBound(urls, false);
  return {
    async process(job) {
      const release = await client.acquire(`entity:${(job.data as { id: number }).id}`);
      await release();
    },
    close: () => client.close(),
  };
}
