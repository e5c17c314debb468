import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { bundle, bundled } from "../support/bundle.ts";
import { mutated, type Mutation } from "./mutation.ts";
import type { Report } from "./run.ts";
import type { Scenario } from "./scenarios.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Which seeds are run. */
export interface Seeds {
  readonly from: number;
  readonly to: number;
  /** A violation after which no further one is run. */
  readonly until?: string;
}

/** Runs a scenario in a process of its own, on the code as it is or mutated. */
export async function runScenario(
  scenario: Scenario,
  seeds: Seeds,
  mutation?: Mutation,
): Promise<Report[]> {
  return await runProgram("cli.ts", [asText(scenario), ...asArguments(seeds)], mutation);
}

/** Seeds as the programs read them. */
export function asArguments({ from, to, until }: Seeds): string[] {
  return [`${from}`, `${to}`, ...(until === undefined ? [] : [until])];
}

/** A scenario as the programs read it. */
export function asText(scenario: object): string {
  return JSON.stringify(scenario, (_, value: unknown) => (value === Infinity ? "Infinity" : value));
}

/** Reads what {@link asText} wrote. */
export function fromText(text: string): unknown {
  return JSON.parse(text, (_, value: unknown) => (value === "Infinity" ? Infinity : value));
}

/** Runs a program of this folder in a process of its own, on the code as it is or mutated, and reads what it prints. */
export async function runProgram<R>(
  name: string,
  args: readonly string[],
  mutation?: Mutation,
): Promise<R> {
  const path = join(root, "test/simulation", name);
  const outfile = await (mutation === undefined
    ? bundled(path)
    : bundle(path, [mutated(mutation)]));
  const { stdout } = await promisify(execFile)(process.execPath, [outfile, ...args], {
    cwd: root,
    maxBuffer: 2 ** 26,
  });
  return JSON.parse(stdout) as R;
}
