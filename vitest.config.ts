import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";
import { totals } from "./test/support/totals-reporter.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "examples/testing/*.test.ts"],
    // Real servers and processes start in these tests; the limits guard against hangs, they time nothing.
    testTimeout: 30_000,
    hookTimeout: 300_000,
    // Most of them wait most of the time; simulations compute in the background of the others.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    globalSetup: ["test/support/global-setup.ts"],
    reporters: ["default", totals],
  },
});
