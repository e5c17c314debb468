import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Folder, run } from "./folder.ts";

/** How a user's project is compiled. */
export interface Mode {
  readonly name: string;
  readonly type: "module" | "commonjs";
  readonly options: Readonly<Record<string, string>>;
  /** Whether the declarations of libraries are checked too, each build of ours at least once; it takes most of the time. */
  readonly libraries?: boolean;
  /** The first major version of TypeScript that has it no more. */
  readonly until?: number;
}

export const MODES: readonly Mode[] = [
  {
    name: "nodenext, ES module",
    type: "module",
    options: { module: "nodenext" },
    libraries: true,
  },
  { name: "nodenext, CommonJS", type: "commonjs", options: { module: "nodenext" } },
  { name: "node16, ES module", type: "module", options: { module: "node16" } },
  {
    name: "node16, CommonJS",
    type: "commonjs",
    options: { module: "node16" },
    libraries: true,
  },
  {
    name: "bundler",
    type: "module",
    options: { module: "esnext", moduleResolution: "bundler" },
  },
  {
    name: "commonjs, moduleResolution node",
    type: "commonjs",
    options: { module: "commonjs", moduleResolution: "node10" },
    until: 7,
  },
  {
    name: "commonjs, moduleResolution bundler",
    type: "commonjs",
    options: { module: "commonjs", moduleResolution: "bundler" },
  },
];

/** Compiles what users write, under each mode; gives the modes that failed, and what the compiler said. */
export async function checkTypes(
  folder: Folder,
  compiler: Folder,
  modes: readonly Mode[],
): Promise<string[]> {
  const typescript = await compiler.versionOf("typescript");
  const major = Number.parseInt(typescript, 10);
  const tsc = join(compiler.path, "node_modules", "typescript", "bin", "tsc");
  const failures: string[] = [];
  for (const mode of modes) {
    if (!isOf(mode, major)) continue;
    const name = `types-${typescript}-${mode.name}`.replaceAll(/[^a-z\d.]+/gi, "-");
    const project = await folder.project(name, mode.type, {
      "typed.ts": "typed.ts",
      ...((await hasProgressType(folder)) ? { "progress.ts": "progress.ts" } : {}),
    });
    await writeFile(join(project, "tsconfig.json"), configOf(mode, major));
    const { ok, output } = await run(process.execPath, [tsc, "-p", "."], project);
    if (!ok) failures.push(`${mode.name}:\n${output}`);
  }
  return failures;
}

/** How many of the modes a version of TypeScript has. */
export function isOf({ name, until = Infinity }: Mode, major: number): boolean {
  // TypeScript 5 takes this resolution for ES modules only.
  return major < until && !(major < 6 && name === "commonjs, moduleResolution bundler");
}

function configOf({ options, libraries = false }: Mode, major: number): string {
  const deprecated = major === 6 && options["moduleResolution"] === "node10";
  return JSON.stringify({
    compilerOptions: {
      target: "es2020",
      // The oldest that is supported, and without the types of browsers, which take most of the time.
      lib: ["es2020"],
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: !libraries,
      types: ["node"],
      typeRoots: ["../node_modules/@types"],
      noEmit: true,
      ...options,
      ...(deprecated ? { ignoreDeprecations: "6.0" } : {}),
    },
  });
}

async function hasProgressType(folder: Folder): Promise<boolean> {
  const [major = 0, minor = 0] = (await folder.versionOf("bullmq")).split(".").map(Number);
  return major > 6 || (major === 6 && minor >= 2);
}
