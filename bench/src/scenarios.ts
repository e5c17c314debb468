import type { Scenario } from "./scenario.ts";
import { cold, others } from "./scenarios/contention/beside.ts";
import { handOver, hotKey } from "./scenarios/contention/hot-key.ts";
import { idle } from "./scenarios/contention/idle.ts";
import { processes } from "./scenarios/contention/processes.ts";
import { contended } from "./scenarios/contended.ts";
import { dead, hung } from "./scenarios/faults.ts";
import { held } from "./scenarios/held.ts";
import { latency } from "./scenarios/latency.ts";
import { heldMemory } from "./scenarios/held-memory.ts";
import { parkedMemory } from "./scenarios/parked-memory.ts";
import { grant } from "./scenarios/limits/grant.ts";
import { pool } from "./scenarios/limits/pool.ts";
import { queue } from "./scenarios/queue.ts";
import { throughput } from "./scenarios/throughput.ts";

/** All scenarios by group, in the order in which they run. */
export const GROUPS: Readonly<Record<string, readonly Scenario[]>> = {
  locks: [
    latency(1),
    latency(3),
    latency(3, { oneCore: true, most: 1.35 }),
    latency(5),
    throughput(64, { rate: 5, cpu: 0.15 }),
    throughput(512, { rate: 6, cpu: 0.1 }),
    throughput(256, { cpu: 0.9 }, 100),
    held,
    contended(1),
    contended(5),
    hung,
    dead,
    queue,
  ],
  contention: [hotKey(20, 1.15), hotKey(5, 1.2), handOver, others, cold, processes, idle],
  limits: [grant, pool],
  memory: [heldMemory, parkedMemory],
};

export const SCENARIOS = Object.values(GROUPS).flat();

/** The scenario of that name. */
export function findScenario(name: string): Scenario {
  const found = SCENARIOS.find((scenario) => scenario.name === name);
  if (found !== undefined) return found;
  const known = SCENARIOS.map((scenario) => scenario.name).join(", ");
  throw new Error(`--only: found "${name}", expected one of ${known}`);
}
