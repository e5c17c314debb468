import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Patch } from "./protections.ts";
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

/** Runs a scenario in a process of its own, on the code as it is or with a patch. */
export async function runScenario(
  scenario: Scenario,
  seeds: Seeds,
  patch?: Patch,
): Promise<Report[]> {
  return await runProgram("cli.ts", [asText(scenario), ...asArguments(seeds)], patch);
}

/** Seeds as the programs read them. */
export function asArguments({ from, to, until = "" }: Seeds): string[] {
  return [`${from}`, `${to}`, until];
}

/** A scenario as the programs read it. */
export function asText(scenario: object): string {
  return JSON.stringify(scenario, (_, value: unknown) => (value === Infinity ? "Infinity" : value));
}

/** Reads what {@link asText} wrote. */
export function fromText(text: string): unknown {
  return JSON.parse(text, (_, value: unknown) => (value === "Infinity" ? Infinity : value));
}

/** Runs a program of this folder in a process of its own, and reads what it prints. */
export async function runProgram<R>(
  name: string,
  args: readonly string[],
  patch?: Patch,
): Promise<R> {
  const copy = patch === undefined ? undefined : copyWith(patch);
  try {
    const script = join(copy ?? root, "test/simulation", name);
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--import", "tsx", script, ...args],
      { cwd: root, maxBuffer: 2 ** 26 },
    );
    return JSON.parse(stdout) as R;
  } finally {
    if (copy !== undefined) rmSync(copy, { recursive: true });
  }
}

/** A copy of the code in which one thing is different; inside node_modules, where it finds its dependencies. */
function copyWith({ file, find, replace }: Patch): string {
  const cache = join(root, "node_modules/.cache");
  mkdirSync(cache, { recursive: true });
  const copy = mkdtempSync(join(cache, "mutant-"));
  for (const folder of ["src", "test/simulation", "test/support"]) {
    cpSync(join(root, folder), join(copy, folder), { recursive: true });
  }
  writeFileSync(join(copy, "package.json"), '{ "type": "module" }');
  const path = join(copy, file);
  const source = readFileSync(path, "utf8");
  if (source.split(find).length !== 2) throw new Error(`${file} has not exactly one "${find}"`);
  writeFileSync(
    path,
    source.replace(find, () => replace),
  );
  return copy;
}
