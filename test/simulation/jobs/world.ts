import type { Random } from "../../../src/random.ts";
import type { Redlock } from "../../../src/redlock/redlock.ts";
import type { Faults } from "../faults.ts";
import type { Host } from "../host.ts";
import type { Server, Wire } from "../network.ts";
import type { Timeline } from "../timeline.ts";
import type { JobOracle } from "./oracle.ts";
import type { JobQueue } from "./queue.ts";
import type { JobScenario } from "./scenarios.ts";
import type { SimulatedWorker } from "./worker.ts";

/** A simulated process, with its workers. */
export interface Process {
  readonly host: Host;
  readonly wires: readonly Wire[];
  readonly redlock: Redlock;
  readonly serves: readonly number[];
  readonly workers: readonly SimulatedWorker[];
}

/** All that a run is made of. */
export interface World {
  readonly scenario: JobScenario;
  readonly random: Random;
  readonly timeline: Timeline;
  readonly faults: Faults;
  readonly oracle: JobOracle;
  readonly servers: readonly Server[];
  readonly queues: readonly JobQueue[];
}
