import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that keep a worker busy for a quarter of a minute or more: one that starts last keeps all others waiting for it. */
const LONGEST = [
  "simulation/jobs/jobs.test.ts",
  "chaos/chaos.test.ts",
  "demo/demo.test.ts",
  "simulation/simulation.test.ts",
  "e2e/killed-at-random.test.ts",
  "order/strict.test.ts",
  "bullmq/crowded-key.test.ts",
  "simulation/protections.test.ts",
  "testing/debian-packages.test.ts",
  "e2e/processes.test.ts",
  "bullmq/redeployed.test.ts",
  "order/retry.test.ts",
  "cli/masters.test.ts",
  "bullmq/wait-list.test.ts",
  "bullmq/hidden-waiters.test.ts",
  "simulation/jobs/protections.test.ts",
  "dashboard/browser.test.ts",
  "examples/examples.test.ts",
  "testing/parent-death.test.ts",
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
