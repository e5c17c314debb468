/**
 * Runs all scenarios with ever new seeds until the time is over, and prints the seeds that failed. A failing run is
 * repeated exactly by `npm run soak -- --scenario NAME --seed N`. With `--chaos` real processes run, and the same seed
 * repeats the faults only.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { runChaos } from "../chaos/run.ts";
import { summarise, violationsOf } from "../chaos/violations.ts";
import { runJobScenario } from "./jobs/programs.ts";
import { JOB_SCENARIOS } from "./jobs/scenarios.ts";
import { runScenario } from "./mutant.ts";
import { SCENARIOS } from "./scenarios.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    /** Real processes instead of simulated ones; one run takes a minute. */
    chaos: { type: "boolean", default: false },
    scenario: { type: "string" },
    seed: { type: "string" },
  },
});
/** Seeds one process runs before the next reads the clock; on real processes one. */
const CHUNK = values.chaos ? 1 : 10;
/** Runs at the same time; real processes use all cores. */
const PARALLEL = values.chaos ? 1 : availableParallelism();
/** Milliseconds of faults of one run on real processes. */
const CHAOS_RUN = 50_000;
/** `npm test` has run the first seeds. */
const FIRST_SEED = 1_000;

interface Soaked {
  readonly seed: number;
  readonly violations: object;
  readonly examples: readonly string[];
  /** Locks granted. */
  readonly grants: number;
}

interface Soakable {
  readonly name: string;
  run(from: number, to: number): Promise<readonly Soaked[]>;
}

const SIMULATED: readonly Soakable[] = [
  ...SCENARIOS.map((scenario) => ({
    name: scenario.name,
    run: (from: number, to: number) => runScenario(scenario, { from, to }),
  })),
  ...JOB_SCENARIOS.map((scenario) => ({
    name: `jobs: ${scenario.name}`,
    run: async (from: number, to: number) => {
      const reports = await runJobScenario(scenario, { from, to });
      return reports.map((report) => ({ ...report, grants: report.runs }));
    },
  })),
];

const CHAOS: readonly Soakable[] = [false, true].map((jobs) => ({
  name: jobs ? "chaos: jobs" : "chaos: locks",
  async run(from, to) {
    const reports: Soaked[] = [];
    for (let seed = from; seed < to; seed++) {
      const report = await runChaos({ contender: "bullmq-redlock", seed, ms: CHAOS_RUN, jobs });
      console.log(summarise(report));
      reports.push({ ...report, violations: violationsOf(report) });
    }
    return reports;
  },
}));

const ALL = values.chaos ? CHAOS : SIMULATED;
const scenarios = ALL.filter(({ name }) => (values.scenario ?? name) === name);
if (scenarios.length === 0) {
  const names = ALL.map(({ name }) => JSON.stringify(name)).join(", ");
  console.error(`--scenario: found ${JSON.stringify(values.scenario)}, expected one of ${names}`);
  process.exit(2);
}

const failures: string[] = [];
let grants = 0;

function note(scenario: Soakable, reports: readonly Soaked[]): void {
  for (const { seed, violations, examples, grants: granted } of reports) {
    grants += granted;
    if (Object.keys(violations).length === 0) continue;
    const line = `${values.chaos ? "--chaos " : ""}--scenario ${JSON.stringify(scenario.name)} --seed ${seed}: ${JSON.stringify(violations)} ${examples.join("; ")}`;
    failures.push(line);
    console.log(line);
  }
}

if (values.seed !== undefined) {
  const seed = Number(values.seed);
  for (const scenario of scenarios) {
    const reports = await scenario.run(seed, seed + 1);
    console.log(JSON.stringify(reports, undefined, 2));
    note(scenario, reports);
  }
} else {
  const end = Date.now() + Number(values.minutes) * 60_000;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (Date.now() < end) {
      const reservation = next++;
      const scenario = scenarios[reservation % scenarios.length];
      if (scenario === undefined) return;
      const from = FIRST_SEED + CHUNK * Math.floor(reservation / scenarios.length);
      note(scenario, await scenario.run(from, from + CHUNK));
      if (reservation % 20 === 19) console.log(`${grants} grants, ${failures.length} failed runs`);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}
console.log(`${grants} grants, ${failures.length} failed runs`);
process.exitCode = failures.length === 0 ? 0 : 1;
