import { parseArgs } from "node:util";
import { findScenario, GROUPS, SCENARIOS } from "./scenarios.ts";
import type { Scenario } from "./scenario.ts";

/** What is to be measured. */
export interface BenchOptions {
  readonly scenarios: readonly Scenario[];
  readonly rounds: number;
  /** Whether `docs/performance.md` is written: only with all scenarios and all rounds. */
  readonly writes: boolean;
}

const DEFAULT_ROUNDS = 5;
const MOST_ROUNDS = 100;

/** Reads `contention --quick`, or `--only latency-3,held --rounds 7`. */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      only: { type: "string" },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 1 : DEFAULT_ROUNDS));
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > MOST_ROUNDS) {
    throw new Error(
      `--rounds: found "${values.rounds}", expected a whole number from 1 to ${MOST_ROUNDS}`,
    );
  }
  const named = [
    ...positionals.flatMap(findGroup),
    ...(values.only?.split(",").map(findScenario) ?? []),
  ];
  const all = named.length === 0;
  return {
    scenarios: all ? SCENARIOS : named,
    rounds,
    writes: all && rounds >= DEFAULT_ROUNDS,
  };
}

function findGroup(name: string): readonly Scenario[] {
  const group = GROUPS[name];
  if (group !== undefined) return group;
  throw new Error(`found "${name}", expected one of ${Object.keys(GROUPS).join(", ")}`);
}
