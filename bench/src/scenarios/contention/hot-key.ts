import { OURS } from "../../contenders.ts";
import { account } from "../../jobs/account.ts";
import { jobsOf } from "../../jobs/load.ts";
import { runJobs } from "../../jobs/run-jobs.ts";
import { POLLING, WAITING, WITHOUT } from "../../jobs/wrappings.ts";
import type { Scenario } from "../../scenario.ts";

const JOBS = 500;
const SLOTS = 10;
/** Jobs that run before anything is measured. */
const WARM_UP = 100;

/** What everything about one hot key is compared with: it has no lock, because nothing runs beside it. */
const SERIAL = "plain worker, concurrency 1";

/** All jobs want the same key. */
export function hotKey(ms: number, most: number): Scenario {
  return {
    name: `hot-key-${ms}`,
    title: `A hot key: ${JOBS} jobs of ${ms} ms, ${SLOTS} worker slots`,
    text:
      `${JOBS} jobs of ${ms} ms with the same key are in the queue; one worker with ${SLOTS} worker slots runs them. The plain worker ` +
      "has one worker slot and no lock: nothing can be faster in order. A gap is the time from the end of a job to the start of the next.",
    nodes: 4,
    contenders: [SERIAL, POLLING, OURS, WAITING],
    columns: [
      { figure: "makespan", title: "makespan, ms", digits: 0, ratio: true },
      { figure: "gap", title: "gap, ms", digits: 2 },
      { figure: "activationsPerJob", title: "activations a job", digits: 2 },
      { figure: "inversions", title: "jobs out of order", digits: 0 },
      { figure: "overlaps", title: "overlaps", digits: 0 },
    ],
    goals: [
      { text: `Hot key, jobs of ${ms} ms: makespan`, figure: "makespan", ratio: true, most },
      {
        text: `Hot key, jobs of ${ms} ms, "wait": makespan`,
        contender: WAITING,
        figure: "makespan",
        ratio: true,
        most,
      },
      {
        text: `Hot key, jobs of ${ms} ms: activations a job`,
        figure: "activationsPerJob",
        most: 2,
      },
      { text: `Hot key, jobs of ${ms} ms: jobs out of order`, figure: "inversions", most: 0 },
      { text: `Hot key, jobs of ${ms} ms: overlaps`, figure: "overlaps", most: 0 },
    ],
    prepare: async (contender, urls) => await prepareHot(contender, urls, { jobs: JOBS, ms }),
  };
}

/** A hot key whose jobs take next to no time: what is measured is the hand-over. */
export const handOver: Scenario = {
  ...hotKey(1, 1),
  name: "hand-over",
  title: "Hand-overs: 301 jobs of 1 ms on one key",
  text: `300 hand-overs between jobs of 1 ms on one key, ${SLOTS} worker slots. A gap is the time from the end of a job to the start of the next.`,
  goals: [{ text: "Hand-overs between jobs of 1 ms: overlaps", figure: "overlaps", most: 0 }],
  prepare: async (contender, urls) => await prepareHot(contender, urls, { jobs: 301, ms: 1 }),
};

async function prepareHot(
  contender: string,
  urls: readonly string[],
  { jobs, ms }: { jobs: number; ms: number },
): ReturnType<Scenario["prepare"]> {
  const serial = contender === SERIAL;
  const run = async (count: number): ReturnType<typeof runJobs> =>
    await runJobs({
      wrapping: serial ? WITHOUT : contender,
      urls,
      queue: `hot-${contender.replaceAll(/\W+/g, "-")}`,
      concurrency: serial ? 1 : SLOTS,
      jobs: jobsOf(count, ms, () => "hot"),
    });
  await run(WARM_UP);
  return {
    async run() {
      const { records, startedAt } = await run(jobs);
      return { ...account(records, startedAt) };
    },
    close: async () => {},
  };
}
