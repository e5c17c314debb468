import { afterAll, describe, expect, it } from "vitest";
import { stayInBackground } from "../../support/background.ts";
import { load } from "../mutant.ts";
import { runSeeds } from "../seeds.ts";
import { disturbancesOf } from "./programs.ts";
import type * as Run from "./run.ts";
import { JOB_SCENARIOS, seedsOf, SMALL_SCENES } from "./scenarios.ts";

stayInBackground();

const { simulateJobs } = await load<typeof Run>("jobs/run.ts");

const reports: Run.JobReport[] = [];
/** Those of them with deploys. */
const deployed: Run.JobReport[] = [];

function violationsOf(run: readonly Run.JobReport[]): object[] {
  return run
    .filter(({ violations }) => Object.keys(violations).length > 0)
    .map(({ seed, disturbance, violations, examples }) => ({
      seed,
      disturbance,
      violations,
      examples,
    }));
}

describe("the real wrapper over simulated masters and queues", () => {
  it.each(JOB_SCENARIOS)(
    "loses no job and leaves none waiting for a free key: $name",
    async (scenario) => {
      const seeds = { from: 0, to: seedsOf(scenario) };
      const run = await runSeeds(seeds, async (seed) => await simulateJobs(scenario, seed));
      reports.push(...run);
      if (scenario.deploys !== undefined) deployed.push(...run);
      expect(violationsOf(run)).toEqual([]);
    },
    300_000,
  );

  it.each([
    ["strict order", 18],
    ["strict order", 69],
    ["strict order, deploys", 20],
    ["strict order, deploys", 29],
  ])(
    "does so with a seed that once showed a violation: %s, %i",
    async (name, seed) => {
      const scenario = JOB_SCENARIOS.find((each) => each.name === name)!;
      expect(violationsOf([await simulateJobs(scenario, seed)])).toEqual([]);
    },
    300_000,
  );

  it("does so for 10,000 jobs whose workers are deployed over", () => {
    expect(deployed.reduce((sum, { jobs }) => sum + jobs, 0)).toBeGreaterThan(10_000);
  });

  it.each(SMALL_SCENES)(
    "does so too if a process dies at any step, and if any message is late: $name",
    async (scene) => {
      const run: Run.JobReport[] = [];
      for (const disturbance of disturbancesOf(await simulateJobs(scene, 0))) {
        run.push(await simulateJobs(scene, 0, disturbance));
      }
      reports.push(...run);
      expect(run.length).toBeGreaterThan(300);
      expect(violationsOf(run)).toEqual([]);
    },
    300_000,
  );

  afterAll(() => {
    const total = (select: (report: Run.JobReport) => number): number =>
      reports.reduce((sum, report) => sum + select(report), 0);
    const faults = total((report) => Object.values(report.faults).reduce((a, b) => a + b, 0));
    process.stdout.write(
      `simulated queues: ${reports.length} runs, ${total(({ jobs }) => jobs)} jobs, ${total(({ activations }) => activations)} activations, ${faults} faults\n`,
    );
  });
});
