import { describe, expect, it } from "vitest";
import { stayInBackground } from "../../support/background.ts";
import { runJobScenario } from "./programs.ts";
import { JOB_PROTECTIONS } from "./protections.ts";
import { seedsOf } from "./scenarios.ts";

stayInBackground();

/** Seeds that are run at most until the violation is seen; in most scenarios each second one shows it. */
const TRIES = 20;

describe("without", () => {
  it.concurrent.each(JOB_PROTECTIONS)(
    "$name there are violations, with it there are none",
    async ({ scenario, seed, violation, mutation }) => {
      const until = { from: seed, to: seed + TRIES, until: violation };
      const withoutIt = await runJobScenario(scenario, until, mutation);
      expect(withoutIt.at(-1)?.violations[violation] ?? 0).toBeGreaterThan(0);
      // The suite runs the first seeds of the scenario anyway.
      const from = Math.max(seed, seedsOf(scenario));
      const withIt = await runJobScenario(scenario, { from, to: seed + withoutIt.length });
      expect(withIt.filter(({ violations }) => violation in violations)).toEqual([]);
    },
    300_000,
  );
});
