import { OURS } from "../../contenders.ts";
import { account } from "../../jobs/account.ts";
import { jobsOf } from "../../jobs/load.ts";
import { runJobs } from "../../jobs/run-jobs.ts";
import type { Scenario } from "../../scenario.ts";
import { percentile } from "../../statistics.ts";

const SLOTS = 10;
/** Milliseconds that each job takes. */
const WORK = 20;
const HOT_JOBS = 500;
const BEHIND = 5_000;
const HOT_FIRST = 1_000;
const COLD_JOBS = 1_000;

const HOT_ALONE = "hot jobs alone";
const HOT_BEFORE_OTHERS = `${BEHIND.toLocaleString("en")} other jobs behind them`;
const COLD_ALONE = "cold jobs alone";
const COLD_BEHIND = `behind ${HOT_FIRST.toLocaleString("en")} hot jobs`;

/** Whether the jobs of a hot key hold their own among others. */
export const others: Scenario = {
  name: "others",
  title: "A hot key with jobs of other keys behind it",
  text:
    `${HOT_JOBS} jobs with the same key come first, then ${BEHIND.toLocaleString("en")} jobs with keys of their own, each of ` +
    `${WORK} ms, ${SLOTS} worker slots. What counts is the time until the hot jobs are done.`,
  nodes: 4,
  contenders: [HOT_ALONE, HOT_BEFORE_OTHERS],
  columns: [
    { figure: "makespan", title: "makespan of the hot jobs, ms", digits: 0, ratio: true },
    { figure: "gap", title: "gap, ms", digits: 2 },
    { figure: "activationsPerJob", title: "activations a hot job", digits: 2 },
    { figure: "inversions", title: "jobs out of order", digits: 0 },
    { figure: "overlaps", title: "overlaps", digits: 0 },
  ],
  goals: [
    {
      text: `Hot key with ${HOT_BEFORE_OTHERS}: makespan of the hot jobs`,
      contender: HOT_BEFORE_OTHERS,
      figure: "makespan",
      ratio: true,
      most: 1.5,
    },
    {
      text: `Hot key with ${HOT_BEFORE_OTHERS}: overlaps`,
      contender: HOT_BEFORE_OTHERS,
      figure: "overlaps",
      most: 0,
    },
  ],
  prepare: async (contender, urls) => {
    const hot = jobsOf(HOT_JOBS, WORK, () => "hot");
    const behind = jobsOf(contender === HOT_ALONE ? 0 : BEHIND, WORK, (index) => `cold:${index}`);
    const queue = contender === HOT_ALONE ? "hot-alone" : "hot-before-others";
    const run = { wrapping: OURS, urls, queue, concurrency: SLOTS, about: isHot };
    await runJobs({ ...run, jobs: hot.slice(0, 100) });
    return {
      async run() {
        const { records, startedAt } = await runJobs({ ...run, jobs: [...hot, ...behind] });
        return { ...account(records, startedAt) };
      },
      close: async () => {},
    };
  },
};

/** Whether jobs of other keys suffer from a hot one. */
export const cold: Scenario = {
  name: "cold",
  title: "Jobs of other keys behind a hot one",
  text:
    `${HOT_FIRST.toLocaleString("en")} jobs with the same key come first, then ${COLD_JOBS.toLocaleString("en")} jobs with keys of ` +
    `their own, each of ${WORK} ms, ${SLOTS} worker slots. The latency of a cold job is the time from the start of the worker, when all ` +
    "are in the queue, to its completion.",
  nodes: 4,
  contenders: [COLD_ALONE, COLD_BEHIND],
  columns: [
    { figure: "p50", title: "latency p50, ms", digits: 0, ratio: true },
    { figure: "p99", title: "latency p99, ms", digits: 0, ratio: true },
  ],
  goals: [
    { figure: "p50", most: 1.2 },
    { figure: "p99", most: 1.5 },
  ].map((goal) => ({
    text: `Cold jobs ${COLD_BEHIND}: latency ${goal.figure}`,
    contender: COLD_BEHIND,
    ratio: true,
    ...goal,
  })),
  prepare: async (contender, urls) => {
    const hot = jobsOf(contender === COLD_ALONE ? 0 : HOT_FIRST, WORK, () => "hot");
    const jobs = [...hot, ...jobsOf(COLD_JOBS, WORK, (index) => `cold:${index}`)];
    const queue = contender === COLD_ALONE ? "cold-alone" : "cold-behind";
    const run = { wrapping: OURS, urls, queue, concurrency: SLOTS, about: isCold };
    await runJobs({ ...run, jobs: jobs.slice(-100) });
    return {
      async run() {
        const { records, startedAt } = await runJobs({ ...run, jobs });
        const latencies = records.map(({ completedAt }) => completedAt - startedAt);
        return { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) };
      },
      close: async () => {},
    };
  },
};

function isHot(key: string): boolean {
  return key === "hot";
}

function isCold(key: string): boolean {
  return !isHot(key);
}
