import type { FaultPlan } from "./faults.ts";
import type { Violation } from "./oracle.ts";
import { DIFFERING_TTLS, OPTIONS, type Scenario, scenario } from "./scenarios.ts";

/** A change of the code that takes a protection away. */
export interface Patch {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** Something that keeps locks safe, a scenario that needs it, and how to take it away. */
export interface Protection {
  readonly name: string;
  /** What happens without it. */
  readonly without: string;
  readonly scenario: Scenario;
  /** What must not be seen with the protection, and must be without it. */
  readonly violation: Violation;
  readonly seeds: number;
  readonly options?: Scenario["options"];
  readonly more?: Partial<Scenario>;
  readonly patch?: Patch;
}

const FORGETFUL: Partial<FaultPlan> = {
  crashEmpty: 2_000,
  crashPartial: 2_000,
  flush: 2_000,
  partition: 1_500,
  loss: 0.02,
};

/** Each is shown to matter: with it no violation, without it some. */
export const PROTECTIONS: readonly Protection[] = [
  {
    name: "the guard",
    without: "a master that forgot its locks votes for a second holder",
    scenario: scenario("masters forget", FORGETFUL),
    violation: "overlap",
    seeds: 6,
    options: { restartGuard: false },
  },
  {
    name: "the replication id in the guard",
    without: "a master that took over the data of its copy brings back its old guard with it",
    scenario: scenario("masters fail over and back", { failback: 800, partition: 800, loss: 0.02 }),
    violation: "overlap",
    seeds: 6,
    patch: {
      file: "src/testing/memory/simulated-master.ts",
      find: 'return `${server === "" ? "hidden" : server}.${this.#replicationId}`;',
      replace: 'return `${server === "" ? "hidden" : server}.${0 * this.#replicationId}`;',
    },
  },
  {
    name: "waiting for a master that knows the longest ttl",
    without: "a client with short locks lets masters vote that have forgotten a longer one",
    scenario: scenario("masters forget, ttls differ", DIFFERING_TTLS, {
      victims: 2,
      otherTtl: 4_000,
    }),
    violation: "overlap",
    seeds: 3,
    patch: {
      file: "src/lock/guard.ts",
      find: "return quarantineOf(LONGEST_TTL, this.#settings);",
      replace: "return this.#quarantine() + 0 * LONGEST_TTL;",
    },
  },
  {
    name: "a quarantine longer than the longest ttl",
    without: "it votes again while the first holder's lock lives",
    scenario: scenario(
      "masters forget",
      { flush: 800, partition: 300, freeze: 1_000 },
      { longHolds: 0.5, keys: 8, clients: 6 },
    ),
    violation: "overlap",
    seeds: 10,
    patch: {
      file: "src/lock/guard.ts",
      find: "return Math.ceil(longestTtl * (1 + 2 * driftFactor)) + nodeTimeout + clockSkewBudget;",
      replace: "return longestTtl / 3 + 0 * (driftFactor + nodeTimeout + clockSkewBudget);",
    },
  },
  {
    name: "a monotonic clock",
    without: "a step of the wall clock prolongs a lock in the client's eyes",
    scenario: scenario("clocks step", { wallStep: 300, pause: 1_500, freeze: 3_000 }),
    violation: "overlap",
    seeds: 20,
    patch: {
      file: "src/clock.ts",
      find: "return monotonic + this.#slept;",
      replace: "return this.#wall() + 0 * (monotonic + this.#slept);",
    },
  },
  {
    name: "counting suspended time",
    without: "a machine that slept believes in its old locks",
    scenario: scenario("machines sleep", { suspend: 700, wallSpread: 1_000 }),
    violation: "overlap",
    seeds: 6,
    patch: {
      file: "src/clock.ts",
      find: "if (growth > SUSPEND_THRESHOLD) this.#slept += growth;",
      replace: "if (growth > Infinity) this.#slept += SUSPEND_THRESHOLD;",
    },
  },
  {
    name: "leases counted from the sending",
    without: "an answer that was long under way prolongs the lock beyond its master's",
    scenario: scenario(
      "slow network",
      { slow: 0.3, partition: 200 },
      // Who waits in line comes a moment after the end of a lock; who asks at random comes sooner.
      { longHolds: 1, keys: 4, clients: 6, waits: 0 },
    ),
    violation: "overlap",
    seeds: 24,
    patch: {
      file: "src/lock/lease.ts",
      find: "const end = leaseEnd(sentAt, ttl, this.#context.driftFactor);",
      replace: "const end = leaseEnd(this.#context.clock.now(), ttl, this.#context.driftFactor);",
    },
  },
  {
    name: "the abort margin",
    without: "a job that stops as fast as it can still works when the next one begins",
    scenario: scenario("partitions", { partition: 400, freeze: 1_500 }, { longHolds: 0.5 }),
    violation: "working overlap",
    seeds: 10,
    patch: {
      file: "src/lock/validity.ts",
      find: "return Math.min(Math.min(Math.max(ttl / 10, SMALLEST_MARGIN), LARGEST_MARGIN), ttl / 4);",
      replace: "return 0 * (ttl + SMALLEST_MARGIN + LARGEST_MARGIN);",
    },
  },
  {
    name: "releasing only when the job has settled",
    without: "a release at the abort lets the next job in while the old one stops",
    scenario: scenario("partitions", { partition: 400, freeze: 1_500 }, { longHolds: 0.5 }),
    violation: "working overlap",
    seeds: 10,
    patch: {
      file: "src/redlock/held-lock.ts",
      find: "this.#lost?.abort(error);",
      replace:
        "this.#lost?.abort(error);\n    void this.#lease.release({ onReservations: () => {} }, { holdFor: 0, skipped: [] });",
    },
  },
  {
    name: "marks",
    without: "fencing tokens go backwards between clients whose clocks differ",
    scenario: scenario("clocks differ", { wallSpread: 3_600_000, loss: 0.01 }),
    violation: "token order",
    seeds: 3,
    patch: {
      file: "src/testing/memory/simulated-locks.ts",
      find: 'const [mark = 0, closed = 0] = (this.#redis.get(key) ?? "0:0").split(":").map(Number);',
      replace: 'const [mark = 0, closed = 0] = [0, this.#redis.get(key) === "" ? 1 : 0];',
    },
  },
  {
    name: "one vote for one server",
    without: "a server listed twice forgets two votes at once",
    scenario: scenario(
      "a server listed twice forgets",
      { crashEmpty: 1_500 },
      {
        sameServerTwice: true,
        victims: 1,
        options: { ...OPTIONS, restartGuard: false },
      },
    ),
    violation: "overlap",
    seeds: 6,
    more: { hiddenServers: true },
  },
  {
    name: "a majority",
    without: "two halves each have a holder",
    scenario: scenario("partitions", { partition: 1_500, loss: 0.02 }),
    violation: "overlap",
    seeds: 3,
    patch: {
      file: "src/lock/quorum.ts",
      find: "return Math.floor(nodes / 2) + 1;",
      replace: "return Math.floor(nodes / 2);",
    },
  },
];
