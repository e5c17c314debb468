import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that keep a worker busy for more than half a minute: one that starts last keeps all others waiting for it. */
const LONGEST = [
  "simulation/jobs/jobs.test.ts",
  "simulation/simulation.test.ts",
  "demo/demo.test.ts",
  "chaos/chaos.test.ts",
  "bullmq/redeployed.test.ts",
  "simulation/protections.test.ts",
  "e2e/killed-at-random.test.ts",
  "testing/debian-packages.test.ts",
  "simulation/jobs/protections.test.ts",
  "cli/masters.test.ts",
];

/** Starts the longest files first; Vitest does so only when it remembers an earlier run, which CI does not. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

function rank({ moduleId }: TestSpecification): number {
  const index = LONGEST.findIndex((name) => moduleId.endsWith(`/test/${name}`));
  return index === -1 ? LONGEST.length : index;
}
