import { join } from "node:path";
import { type Folder, run } from "./folder.ts";

/** A project with the scenario in it, compiled. */
export interface Program {
  readonly type: "module" | "commonjs";
  readonly path: string;
}

/** Compiles the scenario, as an ES module and as CommonJS. */
export async function compileScenario(folder: Folder, compiler: Folder): Promise<Program[]> {
  const tsc = join(compiler.path, "node_modules", "typescript", "bin", "tsc");
  const programs: Program[] = [];
  for (const type of ["module", "commonjs"] as const) {
    const path = await folder.project(`scenario-${type}`, type, {
      "scenario.ts": "scenario.ts",
      "in-file.ts": "in-file.ts",
    });
    const options = ["--target", "es2022", "--module", "nodenext", "--strict", "--types", "node"];
    const args = [tsc, ...options, "scenario.ts", "in-file.ts"];
    const { ok, output } = await run(process.execPath, args, path);
    if (!ok) throw new Error(output);
    programs.push({ type, path });
  }
  return programs;
}

/** Runs the scenario; gives what failed, and what it printed. */
export async function runScenario(programs: readonly Program[], node: string): Promise<string[]> {
  const failures: string[] = [];
  for (const { type, path } of programs) {
    const args = ["scenario.js", join(path, "in-file.js")];
    const { ok, output } = await run(node, args, path);
    if (!ok) failures.push(`${type}:\n${output}`);
  }
  return failures;
}
