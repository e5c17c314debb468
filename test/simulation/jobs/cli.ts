import { fromText } from "../mutant.ts";
import { runSeeds } from "../seeds.ts";
import { simulateJobs } from "./run.ts";
import type { JobScenario } from "./scenarios.ts";

/** Runs a scenario, given as JSON, for a range of seeds, and prints the reports as JSON: one process, one core. */
const [scenario = "", from = "0", to = "1"] = process.argv.slice(2);

const parsed = fromText(scenario) as JobScenario;
const seeds = { from: Number(from), to: Number(to) };
const reports = await runSeeds(seeds, async (seed) => await simulateJobs(parsed, seed));
process.stdout.write(JSON.stringify(reports));
