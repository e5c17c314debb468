import type { RedlockOptions } from "../../src/redlock/options.ts";
import { type FaultPlan, NO_FAULTS } from "./faults.ts";

/** A system, its load, and what goes wrong with it. Durations are ms. */
export interface Scenario {
  readonly name: string;
  readonly masters: number;
  readonly clients: number;
  /** Concurrent users of each client. */
  readonly slots: number;
  readonly keys: number;
  readonly duration: number;
  /** How many holders a key may have: each acquisition takes one of these limits. @defaultValue 1 */
  readonly limits?: readonly number[];
  /** Share of acquisitions that wait for a held key. @defaultValue half of them */
  readonly waits?: number;
  /** Share of holds that take up to four ttls; the others take up to a tenth of one. */
  readonly longHolds: number;
  /** How long a job may go on after its signal aborted. */
  readonly windDown: number;
  /** How long a job takes between its last check of the lock and its write. */
  readonly think: number;
  /** How long a write may be under way. */
  readonly writeDelay: number;
  readonly faults: FaultPlan;
  readonly options: Omit<RedlockOptions, "nodes">;
  /** Every second client has this ttl instead of the one in the options. */
  readonly otherTtl?: number;
  /** The second entry reaches the first server. */
  readonly sameServerTwice?: boolean;
  /** Only the first so many servers crash or forget. */
  readonly victims?: number;
  /** Servers hide their identity. */
  readonly hiddenServers?: boolean;
  /** Leases are counted from when an answer came, not from when its request was sent. */
  readonly countsFromAnswer?: boolean;
  /** A lock is released when its signal aborts, though its job has not settled. */
  readonly releasesAtAbort?: boolean;
}

/** Short locks, so that much happens in a minute. */
export const OPTIONS = { ttl: 1_000, nodeTimeout: 50, clockSkewBudget: 500 } as const;

const BASE: Omit<Scenario, "name" | "faults"> = {
  masters: 3,
  clients: 4,
  slots: 2,
  keys: 5,
  duration: 60_000,
  longHolds: 0.08,
  windDown: 200,
  think: 2,
  writeDelay: 100,
  options: OPTIONS,
};

const NETWORK = { loss: 0.02, duplication: 0.02, slow: 0.02, partition: 3_000 };
const MEMORY = { crashEmpty: 3_000, crashPartial: 3_000, flush: 3_000, failback: 3_000 };
/** Most masters forget, and the others are silent. */
export const DIFFERING_TTLS: Partial<FaultPlan> = { sweep: 8_000 };
const EVERYTHING: Partial<FaultPlan> = {
  ...NETWORK,
  crashKeep: 4_000,
  crashEmpty: 6_000,
  crashPartial: 6_000,
  flush: 6_000,
  failback: 6_000,
  strand: 4_000,
  freeze: 4_000,
  pause: 3_000,
  suspend: 3_000,
  kill: 3_000,
  wallStep: 3_000,
  masterStepBack: 2_000,
  drift: 0.004,
  wallSpread: 100,
};

/** Enough users for the slots of few keys. */
const SLOTS = { clients: 4, slots: 4, keys: 2, duration: 15_000 } as const;

/** A scenario with the usual load. */
export function scenario(
  name: string,
  faults: Partial<FaultPlan>,
  more: Partial<Scenario> = {},
): Scenario {
  return { ...BASE, name, faults: { ...NO_FAULTS, ...faults }, ...more };
}

/** Every scenario of the suite. In none may there be a violation. */
export const SCENARIOS: readonly Scenario[] = [
  scenario("nothing goes wrong", {}),
  scenario("bad network", { ...NETWORK, freeze: 3_000 }),
  scenario("connections half open", { strand: 500, loss: 0.01, slow: 0.02 }),
  scenario("masters crash, memory kept", { crashKeep: 1_500, freeze: 3_000, loss: 0.01 }),
  scenario("masters forget", { ...MEMORY, crashKeep: 4_000 }),
  scenario("masters forget, bad network", { ...MEMORY, ...NETWORK }),
  scenario("five masters forget", { ...MEMORY, ...NETWORK }, { masters: 5, clients: 6 }),
  // One never forgets, though it may be silent when the others have: a ttl that all have forgotten is beyond the assumptions.
  scenario("masters forget, ttls differ", DIFFERING_TTLS, {
    clients: 3,
    victims: 2,
    otherTtl: 4_000,
  }),
  scenario("clients pause and die", { pause: 1_500, kill: 1_500, loss: 0.01 }),
  scenario("machines sleep", { suspend: 1_500, wallSpread: 1_000 }),
  scenario("clocks drift and step", {
    drift: 0.004,
    wallStep: 1_000,
    masterStepBack: 1_500,
    wallSpread: 3_600_000,
  }),
  scenario("everything", EVERYTHING),
  scenario("everything, five masters", EVERYTHING, { masters: 5, clients: 6 }),
  scenario("everything, four masters", EVERYTHING, { masters: 4 }),
  scenario(
    "two holders a key, masters forget, bad network",
    { ...MEMORY, ...NETWORK },
    { limits: [2], ...SLOTS },
  ),
  scenario("five holders a key, everything", EVERYTHING, { limits: [5], ...SLOTS }),
  scenario("fifty holders a key, everything", EVERYTHING, { limits: [50], ...SLOTS, keys: 1 }),
  scenario("limits differ and change, everything", EVERYTHING, { limits: [1, 2, 5], ...SLOTS }),
  scenario(
    "jobs sleep between check and write",
    { pause: 150, suspend: 600, kill: 2_000 },
    { longHolds: 0.3, windDown: 50, think: 300 },
  ),
];

/** Beyond the assumptions: here violations are expected, and counted for `docs/guarantees.md`. */
export const LIMITS: readonly Scenario[] = [
  scenario(
    "one master's clock steps forward by up to two ttls",
    { masterStepForward: 2_000 },
    { victims: 1 },
  ),
  scenario(
    "the same, with a bad network",
    { ...NETWORK, masterStepForward: 2_000 },
    { victims: 1 },
  ),
  scenario("any master's clock steps forward by up to two ttls", { masterStepForward: 2_000 }),
];
