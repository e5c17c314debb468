import { cp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Folder, ROOT, run } from "./folder.ts";

const TSCONFIG = {
  compilerOptions: {
    target: "es2022",
    module: "commonjs",
    moduleResolution: "node10",
    strict: true,
    esModuleInterop: true,
    types: ["node"],
  },
};

/** What docs/testing.md shows. */
const EXAMPLE = "examples/testing/jest.test.cjs";

/** The projects of a folder that Jest runs. */
export interface JestProjects {
  readonly jest: string;
  readonly projects: readonly { readonly name: string; readonly path: string }[];
}

/** Makes a project with Jest's default configuration, with a test that was compiled before and the example, and one with ts-jest. */
export async function makeJestProjects(folder: Folder): Promise<JestProjects> {
  const modules = join(folder.path, "node_modules");
  const test = { "charges.test.ts": "jest/charges.jest.ts" };
  const plain = await folder.project("jest-default", "commonjs", test);
  await writeFile(join(plain, "tsconfig.json"), JSON.stringify(TSCONFIG));
  const tsc = join(modules, "typescript", "bin", "tsc");
  const { ok, output } = await run(process.execPath, [tsc, "-p", "."], plain);
  if (!ok) throw new Error(output);
  await Promise.all(
    ["tsconfig.json", "charges.test.ts"].map(async (name) => await rm(join(plain, name))),
  );
  // As the page shows it; the package has it too, but this is the one of now.
  await cp(join(ROOT, EXAMPLE), join(plain, "example.test.cjs"));
  const typed = await folder.project("jest-ts", "commonjs", test);
  await writeFile(join(typed, "tsconfig.json"), JSON.stringify(TSCONFIG));
  await writeFile(join(typed, "jest.config.js"), 'module.exports = { preset: "ts-jest" };\n');
  return {
    jest: join(modules, "jest", "bin", "jest.js"),
    projects: [
      { name: "default configuration", path: plain },
      { name: "ts-jest", path: typed },
    ],
  };
}

/** Runs the tests; gives what failed, and what Jest printed. */
export async function runJest({ jest, projects }: JestProjects, node: string): Promise<string[]> {
  const failures: string[] = [];
  for (const { name, path } of projects) {
    const { ok, output } = await run(node, [jest, "--ci"], path);
    if (!ok) failures.push(`${name}:\n${output}`);
  }
  return failures;
}
