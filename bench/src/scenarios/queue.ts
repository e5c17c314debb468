import { type ConnectionOptions, type Processor, Queue, Worker } from "bullmq";
import { OURS, PLAIN } from "../contenders.ts";
import { ownCpu, serverCpu } from "../cpu.ts";
import { fill, type JobData, jobsOf } from "../jobs/load.ts";
import { WITHOUT, WRAPPINGS } from "../jobs/wrappings.ts";
import type { Scenario } from "../scenario.ts";

/** Jobs of one run. */
const JOBS = 4_000;
const CONCURRENCY = 50;
const COMPARED = [WITHOUT, PLAIN, OURS];

/** Jobs that do nothing, each with a key of its own. */
export const queue: Scenario = {
  name: "queue",
  title: "A BullMQ queue of jobs that do nothing, 3 nodes",
  text:
    `One worker with concurrency ${CONCURRENCY} runs ${JOBS.toLocaleString("en")} jobs with distinct keys, all in the queue at ` +
    "the start; the queue has a Redis of its own. Ratios here are to the jobs without a lock.",
  nodes: 4,
  contenders: COMPARED,
  columns: [
    { figure: "rate", title: "jobs/s", digits: 0, ratio: true },
    { figure: "cpu", title: "client CPU, µs a job", digits: 0, ratio: true },
    { figure: "serverCpu", title: "CPU of the lock masters, µs a job", digits: 0 },
  ],
  goals: [
    {
      text: "Jobs that do nothing, concurrency 50: wrapped jobs/s",
      figure: "rate",
      ratio: true,
      least: 0.55,
    },
  ],
  async prepare(contender, [queueUrl = "", ...masters]) {
    const wrapped = WRAPPINGS[contender]?.(masters, async () => {});
    if (wrapped === undefined) throw new Error(`an unknown contender "${contender}"`);
    const connection = { url: queueUrl };
    const name = contender.replaceAll(" ", "-");
    const jobs = new Queue(name, { connection });
    const run = () => drain(jobs, wrapped.process, connection);
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
        await wrapped.close();
      },
    };
  },
};

/** Fills a queue and empties it with one worker, that does nothing else: each microsecond counts here. */
async function drain(
  jobs: Queue,
  process: Processor<JobData>,
  connection: ConnectionOptions,
): Promise<{ ms: number; cpu: number }> {
  await fill(
    jobs,
    jobsOf(JOBS, 0, (index) => `entity:${index}`),
  );
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
