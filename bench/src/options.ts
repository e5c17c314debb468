import { parseArgs } from "node:util";
import { findScenario, SCENARIOS } from "./scenarios.ts";
import type { Scenario } from "./scenario.ts";

/** What is to be measured. */
export interface BenchOptions {
  readonly scenarios: readonly Scenario[];
  readonly rounds: number;
  /** Whether `docs/performance.md` is written: only with all scenarios. */
  readonly writes: boolean;
}

const DEFAULT_ROUNDS = 5;
const MOST_ROUNDS = 100;

/** Reads `--only latency-3,held --rounds 7`. */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: { only: { type: "string" }, rounds: { type: "string" } },
  });
  const rounds = Number(values.rounds ?? DEFAULT_ROUNDS);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > MOST_ROUNDS) {
    throw new Error(
      `--rounds: found "${values.rounds}", expected a whole number from 1 to ${MOST_ROUNDS}`,
    );
  }
  const names = values.only?.split(",");
  return { scenarios: names?.map(findScenario) ?? SCENARIOS, rounds, writes: names === undefined };
}
