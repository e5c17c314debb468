import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { bundle, bundled } from "../support/bundle.ts";
import { mutated, type Mutation } from "./mutation.ts";
import type { Violation } from "./oracle.ts";
import type { Report } from "./run.ts";
import type { Scenario } from "./scenarios.ts";
import type { Seeds } from "./seeds.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * Loads a module of this folder, and what it uses, on the code as it is or mutated. As one file it runs a third faster than what
 * Vitest makes of its parts, and from one scenario to the next it stays compiled.
 */
export async function load<M>(name: string, mutation?: Mutation): Promise<M> {
  return (await import(pathToFileURL(await fileOf(name, mutation)).href)) as M;
}

/**
 * Runs a scenario in a process of its own, on the code as it is or mutated.
 * @param until the violation at which each run ends: mutated code may never end by itself.
 */
export async function runScenario(
  scenario: Scenario,
  seeds: Seeds,
  mutation?: Mutation,
  until?: Violation,
): Promise<Report[]> {
  return await runProgram("cli.ts", scenario, seeds, mutation, until);
}

/** Runs a program of this folder in a process of its own, on the code as it is or mutated, and reads what it prints. */
export async function runProgram<R>(
  name: string,
  scenario: object,
  { from, to }: Seeds,
  mutation?: Mutation,
  until?: Violation,
): Promise<R> {
  const words = [await fileOf(name, mutation), asText(scenario), `${from}`, `${to}`, until ?? ""];
  const { stdout } = await promisify(execFile)(process.execPath, words, {
    cwd: root,
    maxBuffer: 2 ** 26,
  });
  return JSON.parse(stdout) as R;
}

async function fileOf(name: string, mutation: Mutation | undefined): Promise<string> {
  const path = join(root, "test/simulation", name);
  return await (mutation === undefined ? bundled(path) : bundle([path], [mutated(mutation)]));
}

/** A scenario as the programs read it. */
function asText(scenario: object): string {
  return JSON.stringify(scenario, (_, value: unknown) => (value === Infinity ? "Infinity" : value));
}

/** Reads a scenario that a program was given. */
export function fromText(text: string): unknown {
  return JSON.parse(text, (_, value: unknown) => (value === "Infinity" ? Infinity : value));
}
