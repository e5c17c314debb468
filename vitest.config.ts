import { configDefaults, defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";
import { totals } from "./test/support/totals-reporter.ts";
import { PATIENCE } from "./test/support/wait-for.ts";

/** Files that change their process (its priority, timers or modules), or judge what it has left open. */
const OWN_PROCESS = [
  "test/simulation/**/*.test.ts",
  "test/**/leaks.test.ts",
  "test/redlock/close.test.ts",
  "test/bullmq/locked-worker-oldest.test.ts",
  "test/bullmq/{delay-job,job-lock-renewal}.test.ts",
  "test/testing/redis-nodes.test.ts",
  "test/testing/memory/*.test.ts",
];

export default defineConfig({
  test: {
    // Real servers and processes start in these tests; the limits guard against hangs, they time nothing.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: PATIENCE } },
    // For two cores: simulations keep one of them in the background for long, and most other tests wait for servers and processes.
    maxWorkers: 3,
    // Each may start processes of its own.
    maxConcurrency: 3,
    sequence: { sequencer: LongestFirst },
    globalSetup: ["test/support/global-setup.ts"],
    setupFiles: ["test/support/each-file.ts"],
    reporters: ["default", totals],
    projects: [
      { extends: true, test: { name: "own process", include: OWN_PROCESS } },
      {
        extends: true,
        test: {
          name: "shared process",
          include: ["test/**/*.test.ts", "examples/testing/*.test.ts"],
          exclude: [...configDefaults.exclude, ...OWN_PROCESS],
          // A process that has loaded the sources runs one file after the other: loading them costs more than most files.
          isolate: false,
        },
      },
    ],
  },
});
