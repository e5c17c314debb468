import type { Reporter, TestModule } from "vitest/node";

/** Prints the totals on one plain line, for whoever reads a log without knowing the runner. */
class TotalsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string): number =>
      tests.filter((test) => test.result().state === state).length;
    process.stdout.write(
      `${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped\n`,
    );
  }
}

export const totals = new TotalsReporter();
