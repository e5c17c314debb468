import { describe, expect, it } from "vitest";
import { stayInBackground } from "../../support/background.ts";
import { load } from "../mutant.ts";
import { runSeeds } from "../seeds.ts";
import { JOB_PROTECTIONS } from "./protections.ts";
import type * as Run from "./run.ts";
import { SUITE_SEED } from "./scenarios.ts";

stayInBackground();

const code = await load<typeof Run>("jobs/run.ts");

/** Seeds that are run at most until the violation is seen; in most scenarios each second one shows it. */
const TRIES = 20;

describe("without", () => {
  it.each(JOB_PROTECTIONS)(
    "$name there are violations, with it there are none",
    async ({ scenario, seed, violation, mutation }) => {
      const weak = await load<typeof Run>("jobs/run.ts", mutation);
      const withoutIt = await runSeeds(
        { from: seed, to: seed + TRIES, until: violation },
        async (tried) => await weak.simulateJobs(scenario, tried, {}, violation),
      );
      expect(withoutIt.at(-1)?.violations[violation] ?? 0).toBeGreaterThan(0);
      // The suite runs this one anyway.
      const from = Math.max(seed, SUITE_SEED + 1);
      const withIt = await runSeeds(
        { from, to: seed + withoutIt.length },
        async (tried) => await code.simulateJobs(scenario, tried),
      );
      expect(withIt.filter(({ violations }) => violation in violations)).toEqual([]);
    },
  );
});
