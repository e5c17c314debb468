// npm run matrix: the packed package in empty folders, with every supported version of what it meets. "types", "run",
// "nest" and "jest" name the parts to do; "minute" is the part of the types that CI checks, and writes nothing.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { format } from "oxfmt";
import { putLines } from "../support/put-lines.ts";
import { type Folder, Folders } from "./folder.ts";
import { makeJestProjects, runJest } from "./jest.ts";
import { compilePrograms, runPrograms } from "./scenario.ts";
import { checkTypes, isOf, MODES } from "./types.ts";

const OLDEST = "5.72.1";
/** BullMQ with ioredis, to run. */
const RUN = [OLDEST, "5", "6.0.0", "6"].flatMap((bullmq) => [
  [bullmq, "5.11"] as const,
  [bullmq, "6"] as const,
]);
/** And for the types, of which BullMQ 6.2 has more than 6.1. */
const TYPED = [
  ...RUN.filter(([bullmq, ioredis]) => ioredis === "6" || bullmq === "6"),
  ["6.1", "6"] as const,
];
const TYPESCRIPT = ["5.4", "5.9", "6", "7"];
const NODE = ["20", "22", "24"];
/** The adapter of Nest, which has a version of Nest with the same number, with BullMQ. */
const NEST = [
  ["10.1", OLDEST],
  ["10", "5"],
  ["11", "5"],
  ["11", "6"],
  ["12", "6"],
] as const;
const JEST = ["jest@30", "ts-jest@29", "@types/jest@30", "typescript@5.9"];
/** Rows that are worked on at the same time. */
const LANES = 2;

/** A row of a table: what it is about, and its cells. */
type Row = readonly [name: string, ...cells: string[]];

const parts: Record<string, () => Promise<void>> = { types, run, nest, jest, minute };
let failures = 0;
const folders = await Folders.create();
const [, , ...names] = process.argv;
try {
  for (const name of names.length === 0 ? ["types", "run", "nest", "jest"] : names) {
    const part = parts[name];
    if (part === undefined)
      throw new Error(`found ${name}, expected ${Object.keys(parts).join(", ")}`);
    await part();
  }
} finally {
  await folders.remove();
}
process.exitCode = failures === 0 ? 0 : 1;

/** Types, with every TypeScript and all ways to compile. */
async function types(): Promise<void> {
  const compilers = await installTypeScript(TYPESCRIPT);
  const rows = await inLanes(TYPED, async ([bullmq, ioredis]): Promise<Row> => {
    const folder = await installPair("types", bullmq, ioredis);
    const cells: string[] = [];
    for (const compiler of compilers) cells.push(await typesCell(folder, compiler, MODES));
    return [await nameOf(folder), ...cells];
  });
  const versions = await Promise.all(
    compilers.map(async (compiler) => `TypeScript ${await compiler.versionOf("typescript")}`),
  );
  const ways = MODES.map(({ name }) => `\`${name}\``).join("; ");
  await putTable("types", [["", ...versions], ...rows], `The ways to compile: ${ways}.`);
}

/** The scenario, on every Node. */
async function run(): Promise<void> {
  const rows = RUN.map(
    ([bullmq, ioredis]) =>
      async () =>
        await installPair("run", bullmq, ioredis),
  );
  await runRows("run", rows, nameOf, "scenario", "in-file");
}

/** An application of Nest, on every Node. */
async function nest(): Promise<void> {
  const rows = NEST.map(([adapter, bullmq]) => async () => {
    const [major] = adapter.split(".");
    const core = ["common", "core"].map((name) => `@nestjs/${name}@${major}`);
    const packages = [`@nestjs/bullmq@${adapter}`, ...core, "reflect-metadata@0.2", "rxjs@7"];
    return await installPair(`nest-${adapter}`, bullmq, "6", ...packages);
  });
  await runRows("nest", rows, nameOfNest, "nest");
}

/** Runs programs, the first of which is given the others, in each of some folders on every Node. */
async function runRows(
  part: string,
  folders: readonly (() => Promise<Folder>)[],
  nameOf: (folder: Folder) => Promise<string>,
  ...names: readonly string[]
): Promise<void> {
  const [compiler] = await installTypeScript(["7"]);
  const nodes = await installNodes();
  const rows = await inLanes(folders, async (install): Promise<Row> => {
    const folder = await install();
    const name = await nameOf(folder);
    const programs = await compilePrograms(folder, compiler!, ...names);
    const cells: string[] = [];
    for (const { program, version } of nodes) {
      const failed = await runPrograms(programs, program);
      cells.push(cellOf(`${name}, Node ${version}`, failed, programs.length));
    }
    return [name, ...cells];
  });
  await putTable(part, [["", ...nodes.map(({ version }) => `Node ${version}`)], ...rows]);
}

/** Tests under Jest, on every Node. */
async function jest(): Promise<void> {
  const nodes = await installNodes();
  const rows = await inLanes([OLDEST, "6"], async (bullmq): Promise<Row> => {
    const folder = await installPair("jest", bullmq, "6", ...JEST);
    const name = `${await nameOf(folder)}, Jest ${await folder.versionOf("jest")}`;
    const tests = await makeJestProjects(folder);
    const cells: string[] = [];
    for (const { program, version } of nodes) {
      const failed = await runJest(tests, program);
      cells.push(cellOf(`${name}, Node ${version}`, failed, tests.projects.length));
    }
    return [name, ...cells];
  });
  await putTable("jest", [["", ...nodes.map(({ version }) => `Node ${version}`)], ...rows]);
}

/** Types with the oldest and the newest of everything, the types of Node among it, both builds. */
async function minute(): Promise<void> {
  const [oldest, newest] = (await installTypeScript(["5.4", "7"])) as [Folder, Folder];
  const modes = MODES.filter(({ libraries }) => libraries);
  // Types of Node change what a class may make of an emitter.
  const rows = [
    [OLDEST, oldest],
    ["6", newest, "@types/node@latest"],
  ] as const;
  await inLanes(rows, async ([bullmq, compiler, ...more]) => {
    const folder = await installPair(`types-${more.length}`, bullmq, "6", ...more);
    await typesCell(folder, compiler, modes);
  });
}

async function typesCell(folder: Folder, compiler: Folder, modes: typeof MODES): Promise<string> {
  const version = await compiler.versionOf("typescript");
  const possible = modes.filter((mode) => isOf(mode, Number.parseInt(version, 10)));
  const failed = await checkTypes(folder, compiler, possible);
  return cellOf(`${await nameOf(folder)}, TypeScript ${version}`, failed, possible.length);
}

/** Says how a cell went, and what failed. */
function cellOf(what: string, failed: readonly string[], of: number): string {
  const cell = `${of - failed.length} of ${of}`;
  process.stdout.write(`${what}: ${cell}\n`);
  for (const failure of failed) process.stderr.write(`${what}: ${failure}\n`);
  failures += failed.length;
  return cell;
}

/** Writes a table into the page, unless something failed. */
async function putTable(
  name: string,
  [head, ...rows]: readonly Row[],
  ...after: string[]
): Promise<void> {
  if (failures > 0) return;
  const lines = [head!, head!.map(() => "-"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  const page = new URL("../../docs/compatibility.md", import.meta.url);
  const command = `npm run matrix ${name}`;
  putLines(page, { name, command, lines: [...lines, ...after.flatMap((line) => ["", line])] });
  const text = await readFile(page, "utf8");
  await writeFile(page, (await format(page.pathname, text, { printWidth: 100 })).code);
}

async function nameOf(folder: Folder): Promise<string> {
  const [bullmq, ioredis] = [await folder.versionOf("bullmq"), await folder.versionOf("ioredis")];
  return `BullMQ ${bullmq}, ioredis ${ioredis}`;
}

async function nameOfNest(folder: Folder): Promise<string> {
  const [core, adapter] = await Promise.all(
    ["@nestjs/core", "@nestjs/bullmq"].map(async (name) => await folder.versionOf(name)),
  );
  return `Nest ${core}, @nestjs/bullmq ${adapter}, BullMQ ${await folder.versionOf("bullmq")}`;
}

async function installPair(
  name: string,
  bullmq: string,
  ioredis: string,
  ...more: readonly string[]
): Promise<Folder> {
  const types = more.some((wanted) => wanted.startsWith("@types/node@")) ? [] : ["@types/node@20"];
  const packages = [".", `bullmq@${bullmq}`, `ioredis@${ioredis}`, ...types, ...more];
  return await folders.install(`${name}-${bullmq}-${ioredis}`, ...packages);
}

async function installTypeScript(versions: readonly string[]): Promise<Folder[]> {
  return await Promise.all(
    versions.map(async (version) => {
      return await folders.install(`typescript-${version}`, `typescript@${version}`);
    }),
  );
}

/** Node comes as a package too, one for each platform. */
async function installNodes(): Promise<{ program: string; version: string }[]> {
  const name = `node-${process.platform}-${process.arch}`;
  return await Promise.all(
    NODE.map(async (wanted) => {
      const folder = await folders.install(`node-${wanted}`, `${name}@${wanted}`);
      const program = join(folder.path, "node_modules", name, "bin", "node");
      return { program, version: await folder.versionOf(name) };
    }),
  );
}

/** Does something for each item, a few at a time; the results are in the order of the items. */
async function inLanes<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  await Promise.all(
    Array.from({ length: LANES }, async () => {
      for (const [index, item] of queue) results[index] = await work(item);
    }),
  );
  return results;
}
