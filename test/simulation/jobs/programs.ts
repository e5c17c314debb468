import { runProgram } from "../mutant.ts";
import type { Seeds } from "../seeds.ts";
import type { Disturbance, JobReport } from "./run.ts";
import type { JobScenario } from "./scenarios.ts";

/** Runs a scenario in a process of its own. */
export async function runJobScenario(scenario: JobScenario, seeds: Seeds): Promise<JobReport[]> {
  return await runProgram("jobs/cli.ts", scenario, seeds);
}

/** Milliseconds a message is late: within the node timeout, and long after it. */
const DELAYS = [30, 400];

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, i) => i + 1);
}

/**
 * Every single fault of a scene: its first process dies, or begins to close, at each step, and each message is
 * late.
 */
export function disturbancesOf({ steps, messages }: JobReport): Disturbance[] {
  return [
    ...upTo(steps).flatMap((step) => [{ diesAt: step }, { closesAt: step }]),
    ...DELAYS.flatMap((ms) => upTo(messages).map((message) => ({ late: { message, ms } }))),
  ];
}
