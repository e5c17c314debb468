import { join } from "node:path";
import { type Folder, run } from "./folder.ts";

/** A project with a program in it, compiled, and how it is run. */
export interface ScriptSource {
  readonly type: "module" | "commonjs";
  readonly path: string;
  readonly args: readonly string[];
}

/** Compiles programs, of which the first is run, as ES modules and as CommonJS. */
export async function compilePrograms(
  folder: Folder,
  compiler: Folder,
  ...names: readonly string[]
): Promise<ScriptSource[]> {
  const tsc = join(compiler.path, "node_modules", "typescript", "bin", "tsc");
  const sources = names.map((name) => `${name}.ts`);
  const programs: ScriptSource[] = [];
  for (const type of ["module", "commonjs"] as const) {
    const copies = Object.fromEntries(sources.map((source) => [source, source]));
    const path = await folder.project(`${names[0]}-${type}`, type, copies);
    const options = ["--target", "es2022", "--module", "nodenext", "--strict", "--types", "node"];
    const args = [tsc, ...options, "--experimentalDecorators", ...sources];
    const { ok, output } = await run(process.execPath, args, path);
    if (!ok) throw new Error(output);
    programs.push({ type, path, args: names.map((name) => join(path, `${name}.js`)) });
  }
  return programs;
}

/** Runs a program; gives what failed, and what it printed. */
export async function runPrograms(
  programs: readonly ScriptSource[],
  node: string,
): Promise<string[]> {
  const failures: string[] = [];
  for (const { type, path, args } of programs) {
    const { ok, output } = await run(node, args, path);
    if (!ok) failures.push(`${type}:\n${output}`);
  }
  return failures;
}
