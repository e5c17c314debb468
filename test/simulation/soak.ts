/**
 * Runs all scenarios with ever new seeds until the time is over, and prints the seeds that failed. A failing run is
 * repeated exactly by `npm run soak -- --scenario NAME --seed N`.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { runScenario } from "./mutant.ts";
import type { Report } from "./run.ts";
import { SCENARIOS, type Scenario } from "./scenarios.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    scenario: { type: "string" },
    seed: { type: "string" },
  },
});
/** Seeds one process runs before the next looks at the clock. */
const CHUNK = 10;
/** `npm test` has run the first seeds. */
const FIRST_SEED = 1_000;

const scenarios = SCENARIOS.filter(({ name }) => (values.scenario ?? name) === name);
if (scenarios.length === 0) {
  const names = SCENARIOS.map(({ name }) => JSON.stringify(name)).join(", ");
  console.error(`--scenario: found ${JSON.stringify(values.scenario)}, expected one of ${names}`);
  process.exit(2);
}

const failures: string[] = [];
let grants = 0;

function note(scenario: Scenario, reports: readonly Report[]): void {
  for (const { seed, violations, examples, grants: granted } of reports) {
    grants += granted;
    if (Object.keys(violations).length === 0) continue;
    const line = `--scenario ${JSON.stringify(scenario.name)} --seed ${seed}: ${JSON.stringify(violations)} ${examples.join("; ")}`;
    failures.push(line);
    console.log(line);
  }
}

if (values.seed !== undefined) {
  const seed = Number(values.seed);
  for (const scenario of scenarios) {
    const reports = await runScenario(scenario, { from: seed, to: seed + 1 });
    console.log(JSON.stringify(reports, undefined, 2));
    note(scenario, reports);
  }
} else {
  const end = Date.now() + Number(values.minutes) * 60_000;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (Date.now() < end) {
      const turn = next++;
      const scenario = scenarios[turn % scenarios.length];
      if (scenario === undefined) return;
      const from = FIRST_SEED + CHUNK * Math.floor(turn / scenarios.length);
      note(scenario, await runScenario(scenario, { from, to: from + CHUNK }));
      if (turn % 20 === 19) console.log(`${grants} grants, ${failures.length} failed runs`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}
console.log(`${grants} grants, ${failures.length} failed runs`);
process.exitCode = failures.length === 0 ? 0 : 1;
