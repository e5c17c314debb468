import { describe, expect, it } from "vitest";
import { stayInBackground } from "../../support/background.ts";
import { runJobScenario } from "./programs.ts";
import { JOB_PROTECTIONS } from "./protections.ts";
import { type JobReport, simulateJobs } from "./run.ts";

stayInBackground();

describe("without", () => {
  it.concurrent.each(JOB_PROTECTIONS)(
    "$name there are violations, with it there are none",
    async ({ scenario, seeds, violation, patch }) => {
      const count = (reports: readonly JobReport[]): number =>
        reports.reduce((sum, { violations }) => sum + (violations[violation] ?? 0), 0);
      const withIt: JobReport[] = [];
      for (let seed = seeds.from; seed < seeds.to; seed++) {
        withIt.push(await simulateJobs(scenario, seed));
      }
      expect(count(withIt)).toBe(0);
      expect(count(await runJobScenario(scenario, seeds, patch))).toBeGreaterThan(0);
    },
    300_000,
  );
});
