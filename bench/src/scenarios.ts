import type { Scenario } from "./scenario.ts";
import { contended } from "./scenarios/contended.ts";
import { dead, hung } from "./scenarios/faults.ts";
import { held } from "./scenarios/held.ts";
import { latency } from "./scenarios/latency.ts";
import { memory } from "./scenarios/memory.ts";
import { queue } from "./scenarios/queue.ts";
import { throughput } from "./scenarios/throughput.ts";

/** All scenarios, in the order in which they run. */
export const SCENARIOS: readonly Scenario[] = [
  latency(1),
  latency(3),
  latency(5),
  throughput(64),
  throughput(512),
  held,
  contended(1),
  contended(5),
  hung,
  dead,
  queue,
  memory,
];

/** The scenario of that name. */
export function findScenario(name: string): Scenario {
  const found = SCENARIOS.find((scenario) => scenario.name === name);
  if (found !== undefined) return found;
  const known = SCENARIOS.map((scenario) => scenario.name).join(", ");
  throw new Error(`--only: found "${name}", expected one of ${known}`);
}
