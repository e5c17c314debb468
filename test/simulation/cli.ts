import { fromText } from "./mutant.ts";
import type { Violation } from "./oracle.ts";
import { simulateRun } from "./run.ts";
import type { Scenario } from "./scenarios.ts";
import { runSeeds } from "./seeds.ts";

/** Runs a scenario, given as JSON, for a range of seeds, and prints the reports as JSON: one process, one core. */
const [scenario = "", from = "0", to = "1", until = ""] = process.argv.slice(2);

const parsed = fromText(scenario) as Scenario;
const seeds = { from: Number(from), to: Number(to) };
const reports = await runSeeds(seeds, async (seed) => {
  return await simulateRun(parsed, seed, until === "" ? undefined : (until as Violation));
});
process.stdout.write(JSON.stringify(reports));
