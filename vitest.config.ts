import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";
import { totals } from "./test/support/totals-reporter.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "examples/testing/*.test.ts"],
    // Real servers and processes start in these tests; the limits guard against hangs, they time nothing.
    testTimeout: 60_000,
    hookTimeout: 300_000,
    // A third one saves about a fifth of the time on two cores, and starves tests with real processes.
    maxWorkers: 2,
    // Each may start processes of its own.
    maxConcurrency: 3,
    sequence: { sequencer: LongestFirst },
    globalSetup: ["test/support/global-setup.ts"],
    reporters: ["default", totals],
  },
});
