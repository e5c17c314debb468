import type { FaultPlan } from "./faults.ts";
import type { Mutation } from "./mutation.ts";
import type { Violation } from "./oracle.ts";
import { DIFFERING_TTLS, OPTIONS, type Scenario, scenario } from "./scenarios.ts";

/** Something that keeps locks safe, a scenario that needs it, and how to take it away. */
export interface Protection {
  readonly name: string;
  /** What happens without it. */
  readonly without: string;
  readonly scenario: Scenario;
  /** What must not be seen with the protection, and must be without it. */
  readonly violation: Violation;
  /** The first that is run: one that shows the violation, until the code draws its random numbers in another order. */
  readonly seed: number;
  readonly options?: Scenario["options"];
  readonly more?: Partial<Scenario>;
  readonly mutation?: Mutation;
}

const FORGETFUL: Partial<FaultPlan> = {
  crashEmpty: 2_000,
  crashPartial: 2_000,
  flush: 2_000,
  partition: 1_500,
  loss: 0.02,
};

/** Without a condition it is a wall clock, and never true it is CLOCK_MONOTONIC. */
const SUSPENDED_TIME = "suspended time counts, and nothing else of the wall clock";

/** Each is shown to matter: with it no violation, without it some. */
export const PROTECTIONS: readonly Protection[] = [
  {
    name: "the guard",
    without: "a master that forgot its locks votes for a second holder",
    scenario: scenario("masters forget", FORGETFUL),
    violation: "overlap",
    seed: 4,
    options: { restartGuard: false },
  },
  {
    name: "the replication id in the guard",
    without: "a master that took over the data of its copy brings back its old guard with it",
    scenario: scenario("masters fail over and back", { failback: 800, partition: 800, loss: 0.02 }),
    violation: "overlap",
    seed: 8,
    mutation: { marker: "a promotion gives a new identity" },
  },
  {
    name: "waiting for a master that knows the longest ttl",
    without: "a client with short locks lets masters vote that have forgotten a longer one",
    scenario: scenario("masters forget, ttls differ", DIFFERING_TTLS, {
      victims: 2,
      otherTtl: 4_000,
    }),
    violation: "overlap",
    seed: 0,
    mutation: { marker: "waiting for a master that knows the longest ttl", value: "true" },
  },
  {
    name: "a quarantine longer than the longest ttl",
    without: "a master votes again while the first holder's lock lives",
    scenario: scenario(
      "masters forget",
      { flush: 800, partition: 300, freeze: 1_000 },
      { longHolds: 0.5, keys: 8, clients: 6 },
    ),
    violation: "overlap",
    seed: 1,
    mutation: { marker: "a quarantine longer than the longest ttl", value: "($) / 4" },
  },
  {
    name: "a monotonic clock",
    without: "a step of the wall clock prolongs a lock in the client's eyes",
    scenario: scenario("clocks step", { wallStep: 300, pause: 1_500, freeze: 3_000 }),
    violation: "overlap",
    seed: 0,
    mutation: { marker: SUSPENDED_TIME, value: "true" },
  },
  {
    name: "counting suspended time",
    without: "a machine that slept believes in its old locks",
    scenario: scenario("machines sleep", { suspend: 700, wallSpread: 1_000 }),
    violation: "overlap",
    seed: 2,
    mutation: { marker: SUSPENDED_TIME, value: "false" },
  },
  {
    name: "leases counted from the sending",
    without: "an answer that was long under way prolongs the lock beyond its master's",
    scenario: scenario(
      "slow network",
      { slow: 0.3, partition: 200 },
      // A waiter comes a moment after the end of a lock; a client that asks at random comes sooner.
      { longHolds: 1, keys: 4, clients: 6, waits: 0 },
    ),
    violation: "overlap",
    seed: 12,
    more: { countsFromAnswer: true },
  },
  {
    name: "the abort margin",
    without: "a job that stops as fast as it can still works when the next one begins",
    scenario: scenario("partitions", { partition: 400, freeze: 1_500 }, { longHolds: 0.5 }),
    violation: "working overlap",
    seed: 13,
    mutation: { marker: "a lock ends for its user before it ends on the masters", value: "0" },
  },
  {
    name: "releasing only when the job has settled",
    without: "a release at the abort lets the next job in while the old one stops",
    scenario: scenario("partitions", { partition: 400, freeze: 1_500 }, { longHolds: 0.5 }),
    violation: "working overlap",
    seed: 1,
    more: { releasesAtAbort: true },
  },
  {
    name: "marks",
    without: "fencing tokens go backwards between clients whose clocks differ",
    scenario: scenario("clocks differ", { wallSpread: 3_600_000, loss: 0.01 }),
    violation: "token order",
    seed: 0,
    mutation: { marker: "marks outlive locks", value: "[0, 0]" },
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
    seed: 2,
    more: { hiddenServers: true },
  },
  {
    name: "a majority",
    without: "two halves each have a holder",
    scenario: scenario("partitions", { partition: 1_500, loss: 0.02 }),
    violation: "overlap",
    seed: 1,
    mutation: { marker: "a majority", value: "$ - 1" },
  },
];
