import { fromText } from "../mutant.ts";
import { type JobReport, simulateJobs } from "./run.ts";
import type { JobScenario } from "./scenarios.ts";

/** Runs a scenario, given as JSON, for a range of seeds, and prints the reports as JSON: one process, one core. */
const [scenario = "", from = "0", to = "1"] = process.argv.slice(2);
const parsed = fromText(scenario) as JobScenario;
const reports: JobReport[] = [];
for (let seed = Number(from); seed < Number(to); seed++) {
  reports.push(await simulateJobs(parsed, seed));
}
process.stdout.write(JSON.stringify(reports));
