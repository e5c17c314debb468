import { fromText } from "../mutant.ts";
import type { JobViolation } from "./oracle.ts";
import { type JobReport, simulateJobs } from "./run.ts";
import type { JobScenario } from "./scenarios.ts";

/**
 * Runs a scenario, given as JSON, for a range of seeds, and prints the reports as JSON: one process, one core. With the name
 * of a violation it stops at the first one, in the middle of a run.
 */
const [scenario = "", from = "0", to = "1", until] = process.argv.slice(2);
// Thousands of errors are made of which none is shown.
Error.stackTraceLimit = 0;

const parsed = fromText(scenario) as JobScenario;
const reports: JobReport[] = [];
for (let seed = Number(from); seed < Number(to); seed++) {
  const report = await simulateJobs(parsed, seed, {}, until as JobViolation | undefined);
  reports.push(report);
  if (until !== undefined && until in report.violations) break;
}
process.stdout.write(JSON.stringify(reports));
