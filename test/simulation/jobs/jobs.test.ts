import { afterAll, describe, expect, it } from "vitest";
import { stayInBackground } from "../../support/background.ts";
import { load } from "../mutant.ts";
import { disturbancesOf } from "./programs.ts";
import type * as Run from "./run.ts";
import { JOB_SCENARIOS, SMALL_SCENES, SUITE_SEED } from "./scenarios.ts";

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
      const report = await simulateJobs(scenario, SUITE_SEED);
      reports.push(report);
      if (scenario.deploys !== undefined) deployed.push(report);
      expect(violationsOf([report])).toEqual([]);
    },
  );

  it.each([
    ["strict order", 18],
    ["strict order", 69],
    ["strict order, a master loses its memory", 7],
    ["strict order, deploys", 20],
    ["strict order, deploys", 29],
    ["kept retries, a bad network", 16],
    ["kept retries, a bad network", 105],
  ])("does so with a seed that once showed a violation: %s, %i", async (name, seed) => {
    const scenario = JOB_SCENARIOS.find((each) => each.name === name)!;
    expect(violationsOf([await simulateJobs(scenario, seed)])).toEqual([]);
  });

  it("does so for 5,000 jobs whose workers are deployed over", () => {
    expect(deployed.reduce((sum, { jobs }) => sum + jobs, 0)).toBeGreaterThan(5_000);
  });

  it.each(SMALL_SCENES)(
    "does so too if a process dies at any step, and if any message is late: $name",
    async (scene) => {
      const run: Run.JobReport[] = [];
      for (const disturbance of disturbancesOf(await simulateJobs(scene, SUITE_SEED))) {
        run.push(await simulateJobs(scene, SUITE_SEED, disturbance));
      }
      reports.push(...run);
      expect(run.length).toBeGreaterThan(300);
      expect(violationsOf(run)).toEqual([]);
    },
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
