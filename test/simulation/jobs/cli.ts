import { fromText } from "../mutant.ts";
import { type JobReport, type Disturbance, simulateJobs } from "./run.ts";
import type { JobScenario } from "./scenarios.ts";

/** What is asked of this program, as JSON. */
export type JobRequest =
  | { readonly from: number; readonly to: number }
  /** The same seed, with another thing going wrong each time. */
  | { readonly seed: number; readonly disturbances: readonly Disturbance[] };

/** Runs a scenario, and prints the reports as JSON: one process, one core. */
const [scenario = "", request = ""] = process.argv.slice(2);
const parsed = fromText(scenario) as JobScenario;
const asked = JSON.parse(request) as JobRequest;
const reports: JobReport[] = [];
if ("disturbances" in asked) {
  for (const disturbance of asked.disturbances) {
    reports.push(await simulateJobs(parsed, asked.seed, disturbance));
  }
} else {
  for (let seed = asked.from; seed < asked.to; seed++) {
    reports.push(await simulateJobs(parsed, seed));
  }
}
process.stdout.write(JSON.stringify(reports));
// Whoever was killed in the run still waits for something.
process.exit(0);
