import { Queue } from "bullmq";
import { OURS } from "../../contenders.ts";
import { account } from "../../jobs/account.ts";
import { sharedNow } from "../../jobs/clock.ts";
import { JobProcesses, type JobProcessOptions } from "../../jobs/job-processes.ts";
import { fill, jobsOf } from "../../jobs/load.ts";
import { POLLING, WITHOUT } from "../../jobs/wrappings.ts";
import type { Scenario } from "../../scenario.ts";

const PROCESSES = 3;
const KEYS = 20;
const JOBS = 3_000;
/** Milliseconds that each job takes. */
const WORK = 20;
/** Slots of each process. */
const SLOTS = 10;
const WARM_UP = 200;

/** What needs no lock: each key has a queue of its own, with one worker of concurrency 1 somewhere. */
const QUEUE_PER_KEY = "a queue a key, concurrency 1";

/** Several processes and several keys, all of them wanted all the time. */
export const processes: Scenario = {
  name: "processes",
  title: `${PROCESSES} processes, ${KEYS} keys, ${JOBS.toLocaleString("en")} jobs`,
  text:
    `${PROCESSES} processes with ${SLOTS} worker slots each run ${JOBS.toLocaleString("en")} jobs of ${WORK} ms, whose ${KEYS} keys take turns. ` +
    "What needs no lock is a queue for each key with one worker of concurrency 1, spread over the processes. Without a lock and with " +
    "one queue, jobs of one key overlap.",
  nodes: 4,
  contenders: [QUEUE_PER_KEY, WITHOUT, POLLING, OURS],
  columns: [
    { figure: "makespan", title: "makespan, ms", digits: 0, ratio: true },
    { figure: "gap", title: "gap, ms", digits: 2 },
    { figure: "activationsPerJob", title: "activations a job", digits: 2 },
    { figure: "inversions", title: "jobs out of order", digits: 0 },
    { figure: "overlaps", title: "overlaps", digits: 0 },
  ],
  goals: [{ text: `${PROCESSES} processes, ${KEYS} keys: overlaps`, figure: "overlaps", most: 0 }],
  prepare: async (contender, urls) => {
    const team = teamOf(contender);
    const connection = { url: urls[0] ?? "" };
    const queues = team.queues.map((name) => new Queue(name, { connection }));
    const workers = new JobProcesses(team.processes.map((each) => ({ ...each, urls })));
    const run = async (count: number) => {
      const jobs = jobsOf(count, WORK, (index) => `key:${index % KEYS}`);
      for (const [q, queue] of queues.entries()) {
        const own = queues.length === 1 ? jobs : jobs.filter((_, index) => index % KEYS === q);
        await fill(queue, own, q * JOBS);
      }
      let startedAt = 0;
      const records = await workers.run(count, () => (startedAt = sharedNow()));
      return { ...account(records, startedAt) };
    };
    await run(WARM_UP);
    return {
      run: () => run(JOBS),
      async close() {
        await Promise.all(queues.map((queue) => queue.close()));
      },
    };
  },
};

/** Who works on which queues. */
function teamOf(contender: string): {
  queues: string[];
  processes: Omit<JobProcessOptions, "urls">[];
} {
  const numbers = Array.from({ length: PROCESSES }, (_, number) => number);
  if (contender === QUEUE_PER_KEY) {
    const queues = Array.from({ length: KEYS }, (_, key) => `key-${key}`);
    const shareOf = (process: number) => queues.filter((_, key) => key % PROCESSES === process);
    return {
      queues,
      processes: numbers.map((process) => ({
        wrapping: WITHOUT,
        queues: shareOf(process),
        concurrency: 1,
      })),
    };
  }
  const queue = `all-${contender.replaceAll(/\W+/g, "-")}`;
  const process = { wrapping: contender, queues: [queue], concurrency: SLOTS };
  return { queues: [queue], processes: numbers.map(() => process) };
}
