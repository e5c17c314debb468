import { describe, expect, it } from "vitest";
import { stayInBackground } from "../../support/background.ts";
import { runJobScenario } from "./programs.ts";
import { JOB_PROTECTIONS } from "./protections.ts";
import type { JobReport } from "./run.ts";
import { seedsOf } from "./scenarios.ts";

stayInBackground();

function count(reports: readonly JobReport[], violation: keyof JobReport["violations"]): number {
  return reports.reduce((sum, { violations }) => sum + (violations[violation] ?? 0), 0);
}

describe("without", () => {
  it.concurrent.each(JOB_PROTECTIONS)(
    "$name there are violations, with it there are none",
    async ({ scenario, seeds, violation, patch }) => {
      const until = { from: 0, to: seeds, until: violation };
      const withoutIt = await runJobScenario(scenario, until, patch);
      expect(count(withoutIt, violation)).toBeGreaterThan(0);
      // The suite runs the first seeds of the scenario anyway.
      const from = seedsOf(scenario);
      if (withoutIt.length <= from) return;
      const withIt = await runJobScenario(scenario, { from, to: withoutIt.length });
      expect(count(withIt, violation)).toBe(0);
    },
    300_000,
  );
});
