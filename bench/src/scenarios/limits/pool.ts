import { Queue } from "bullmq";
import { account } from "../../jobs/account.ts";
import { sharedNow } from "../../jobs/clock.ts";
import { JobProcesses } from "../../jobs/job-processes.ts";
import { fill, jobsOf } from "../../jobs/load.ts";
import { LIMITED, LIMITED_WAITING, WITHOUT } from "../../jobs/wrappings.ts";
import type { Scenario } from "../../scenario.ts";

const LIMIT = 4;
const PROCESSES = 3;
const JOBS = 2_000;
/** Milliseconds that each job takes. */
const WORK = 20;
const WARM_UP = 200;

/** One process that runs so many jobs at a time: what needs no lock. */
const POOL = "one process, concurrency 4";

/** Several processes share the slots of one key. */
export const pool: Scenario = {
  name: "limit-pool",
  title: `${PROCESSES} processes, one key with a limit of ${LIMIT}`,
  text:
    `${PROCESSES} processes with ${LIMIT} worker slots each run ${JOBS.toLocaleString("en")} jobs of ${WORK} ms of one key, at most ` +
    `${LIMIT} at a time. What needs no lock is one process that runs ${LIMIT} jobs at a time.`,
  nodes: 4,
  contenders: [POOL, LIMITED, LIMITED_WAITING],
  columns: [
    { figure: "makespan", title: "makespan, ms", digits: 0, ratio: true },
    { figure: "activationsPerJob", title: "activations a job", digits: 2 },
  ],
  goals: [LIMITED, LIMITED_WAITING].map((contender) => ({
    text: `${PROCESSES} processes, ${contender}: makespan`,
    contender,
    figure: "makespan",
    ratio: true,
    most: 1.11,
  })),
  prepare: async (contender, urls) => {
    const isPool = contender === POOL;
    const queueName = isPool ? "pool" : "limited";
    const queue = new Queue(queueName, { connection: { url: urls[0] ?? "" } });
    const each = {
      wrapping: isPool ? WITHOUT : contender,
      queues: [queueName],
      concurrency: LIMIT,
      urls,
    };
    const workers = new JobProcesses(Array.from({ length: isPool ? 1 : PROCESSES }, () => each));
    const run = async (count: number) => {
      await fill(
        queue,
        jobsOf(count, WORK, () => "pool"),
      );
      let startedAt = 0;
      const records = await workers.run(count, () => (startedAt = sharedNow()));
      return { ...account(records, startedAt) };
    };
    await run(WARM_UP);
    return { run: () => run(JOBS), close: () => queue.close() };
  },
};
