import { afterAll, describe, expect, it } from "vitest";
import { disturbancesOf, runJobScenario } from "./programs.ts";
import type { JobReport } from "./run.ts";
import { JOB_SCENARIOS, SMALL_SCENES } from "./scenarios.ts";

/** Seeds of each scenario here; `npm run soak` runs more, for as long as it is told. */
const SEEDS = 6;

const reports: JobReport[] = [];

function violationsOf(run: readonly JobReport[]): object[] {
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
  it.concurrent.each(JOB_SCENARIOS)(
    "loses no job and leaves none waiting for a free key: $name",
    async (scenario) => {
      const run = await runJobScenario(scenario, { from: 0, to: SEEDS });
      reports.push(...run);
      expect(violationsOf(run)).toEqual([]);
    },
    300_000,
  );

  it.concurrent.each(SMALL_SCENES)(
    "does so too if a process dies at any step, and if any message is late: $name",
    async (scene) => {
      const [undisturbed] = await runJobScenario(scene, { from: 0, to: 1 });
      if (undisturbed === undefined) throw new Error("no report");
      const disturbances = disturbancesOf(undisturbed);
      const run = await runJobScenario(scene, { seed: 0, disturbances });
      reports.push(...run);
      expect(run.length).toBeGreaterThan(500);
      expect(violationsOf(run)).toEqual([]);
    },
    300_000,
  );

  afterAll(() => {
    const total = (select: (report: JobReport) => number): number =>
      reports.reduce((sum, report) => sum + select(report), 0);
    const faults = total((report) => Object.values(report.faults).reduce((a, b) => a + b, 0));
    process.stdout.write(
      `simulated queues: ${reports.length} runs, ${total(({ jobs }) => jobs)} jobs, ${total(({ activations }) => activations)} activations, ${faults} faults\n`,
    );
  });
});
