import { runScenario } from "./mutant.ts";
import type { Violation } from "./oracle.ts";
import type { Protection } from "./protections.ts";
import type { Report } from "./run.ts";
import type { Scenario } from "./scenarios.ts";

/** Seeds of each protection in the table, and at most until a violation is seen in a test. */
export const TRIES = 12;

/** What several runs came to. */
export interface Sum {
  grants: number;
  violations: Partial<Record<Violation, number>>;
}

/** The scenario of a protection as it is run without it. */
export function weaken({ scenario, options, more }: Protection): Scenario {
  return { ...scenario, ...more, options: { ...scenario.options, ...options } };
}

/** Runs the scenario of a protection with it, and without it until it fails, on the same seeds. */
export async function measure(protection: Protection): Promise<{ withIt: Sum; withoutIt: Sum }> {
  const { scenario, mutation, seed, violation } = protection;
  const range = { from: seed, to: seed + TRIES };
  const [withIt, withoutIt] = await Promise.all([
    runScenario(scenario, range),
    runScenario(weaken(protection), range, mutation, violation),
  ]);
  return { withIt: sum(withIt), withoutIt: sum(withoutIt) };
}

function sum(reports: readonly Report[]): Sum {
  const violations: Partial<Record<Violation, number>> = {};
  let grants = 0;
  for (const report of reports) {
    grants += report.grants;
    for (const [kind, count] of Object.entries(report.violations) as [Violation, number][]) {
      violations[kind] = (violations[kind] ?? 0) + count;
    }
  }
  return { grants, violations };
}
