import { Queue } from "bullmq";
import { Redlock } from "../../../dist/index.js";
import { OURS } from "../contenders.ts";
import { fill, jobsOf } from "../jobs/load.ts";
import { Shift } from "../jobs/shift.ts";
import { wrapWithLock } from "../jobs/wrappings.ts";
import { processMemory, serverMemory } from "../process-memory.ts";
import type { Scenario } from "../scenario.ts";

/** Jobs parked at the same time. */
const JOBS = 100_000;
/** Keys for which they wait. */
const KEYS = 1_000;
/** Jobs that are parked when the measurement begins. */
const FIRST = 10_000;
const SLOTS = 50;
/** Milliseconds that the keys are held without an extend. */
const LONG_TTL = 1_500_000;
/** The ttl of the jobs in ms: ten of them is the five minutes after which a parked job comes back by itself. */
const JOB_TTL = 60_000;

/** What a parked job takes, in the process, on a master and in the queue's Redis. */
export const parkedMemory: Scenario = {
  name: "parked-memory",
  title: `Memory of ${JOBS.toLocaleString("en")} parked jobs`,
  text:
    `${JOBS.toLocaleString("en")} jobs wait for ${KEYS.toLocaleString("en")} keys that another client holds. Memory as above, between ` +
    `the first ${FIRST.toLocaleString("en")} parked jobs and all of them, by the number of jobs; for the queue's Redis beside what a job ` +
    "takes there that only waits in the queue.",
  nodes: 4,
  rounds: 1,
  longestRun: 600_000,
  contenders: [OURS],
  columns: [
    { figure: "heap", title: "process, bytes a job", digits: 0 },
    { figure: "master", title: "master, bytes a job", digits: 0 },
    { figure: "waiting", title: "queue's Redis, bytes a waiting job", digits: 0 },
    { figure: "parking", title: "queue's Redis, more bytes a parked job", digits: 0 },
    { figure: "rate", title: "jobs parked a second", digits: 0 },
  ],
  prepare: async (_contender, [queueUrl = "", ...masters]) => ({
    async run() {
      const connection = { url: queueUrl };
      const queue = new Queue("parked", { connection });
      const redlock = new Redlock({ nodes: masters, ttl: LONG_TTL, restartGuard: "trust-new" });
      // No colon: a template escapes it in what it puts in.
      const keys = Array.from({ length: KEYS }, (_, key) => `parked-${key}`);
      await Promise.all(keys.map((key) => redlock.acquire(key)));
      const empty = await serverMemory(queueUrl);
      await fill(
        queue,
        jobsOf(JOBS, 0, (index) => keys[index % KEYS] ?? ""),
      );
      const waiting = ((await serverMemory(queueUrl)) - empty) / JOBS;
      const shift = new Shift((work) => wrapWithLock(masters, work, { ttl: JOB_TTL }), {
        queues: ["parked"],
        connection,
        concurrency: SLOTS,
      });
      const parked = async (count: number): Promise<Sizes> => {
        await shift.until(async () => (await queue.getDelayedCount()) >= count);
        const [heap, master, inQueue] = [
          await processMemory(),
          await serverMemory(masters[0] ?? ""),
          await serverMemory(queueUrl),
        ];
        return {
          jobs: await queue.getDelayedCount(),
          at: performance.now(),
          heap,
          master,
          inQueue,
        };
      };
      await shift.ready();
      shift.start();
      const first = await parked(FIRST);
      const all = await parked(JOBS);
      const jobs = all.jobs - first.jobs;
      return {
        heap: (all.heap - first.heap) / jobs,
        master: (all.master - first.master) / jobs,
        waiting,
        delayRequest: (all.inQueue - first.inQueue) / jobs,
        rate: (jobs * 1_000) / (all.at - first.at),
      };
    },
    close: async () => {},
  }),
};

interface Sizes {
  /** Parked jobs, and when they were counted. */
  readonly jobs: number;
  readonly at: number;
  readonly heap: number;
  readonly master: number;
  /** Of the queue's Redis. */
  readonly inQueue: number;
}
