import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Plugin } from "esbuild";
import { bundle } from "../support/bundle.ts";
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

/** Runs a program of this folder in a process of its own, on the code as it is or with a patch, and reads what it prints. */
export async function runProgram<R>(
  name: string,
  args: readonly string[],
  patch?: Patch,
): Promise<R> {
  const plugins = patch === undefined ? [] : [applied(patch)];
  const outfile = await bundle(join(root, "test/simulation", name), plugins);
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [outfile, ...args], {
      cwd: root,
      maxBuffer: 2 ** 26,
    });
    return JSON.parse(stdout) as R;
  } finally {
    rmSync(dirname(outfile), { recursive: true });
  }
}

/** Makes one thing of the code different. */
function applied({ file, find, replace }: Patch): Plugin {
  const path = join(root, file);
  const source = readFileSync(path, "utf8");
  if (source.split(find).length !== 2) throw new Error(`${file} has not exactly one "${find}"`);
  const contents = source.replace(find, () => replace);
  return {
    name: "patch",
    setup: (bundle) => {
      bundle.onLoad({ filter: /\.ts$/ }, (loaded) =>
        loaded.path === path ? { contents, loader: "ts" } : undefined,
      );
    },
  };
}
