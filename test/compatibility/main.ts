// npm run matrix: the packed package in empty folders, with every supported version of what it meets. With "types", only
// the types with the oldest and the newest BullMQ: a minute, for CI.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Folder, Folders, ROOT } from "./folder.ts";
import { makeJestProjects, runJest } from "./jest.ts";
import { writePage } from "./page.ts";
import { compileScenario, runScenario } from "./scenario.ts";
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
const JEST = ["jest@30", "ts-jest@29", "@types/jest@30", "typescript@5.9"];
/** Rows that run at the same time. */
const LANES = 2;

const failures: string[] = [];
const folders = await Folders.create();
try {
  if (process.argv[2] === "types") await checkMinute();
  else await checkAll();
} finally {
  await folders.remove();
}
for (const failure of failures) process.stderr.write(`\n${failure}\n`);
process.exitCode = failures.length === 0 ? 0 : 1;

/** The part of the types that CI checks. */
async function checkMinute(): Promise<void> {
  const compilers = await installTypeScript(["5.4", "7"]);
  const modes = MODES.filter(({ name }) => /^nodenext, ES|^node16, Common/.test(name));
  await inLanes([OLDEST, "5", "6"], async (version) => {
    const folder = await installPair("types", version, "6");
    for (const compiler of compilers) await typesCell(folder, compiler, modes);
  });
}

/** The whole matrix. */
async function checkAll(): Promise<void> {
  const compilers = await installTypeScript(TYPESCRIPT);
  const nodes = await Promise.all(NODE.map(installNode));
  const types = await inLanes(TYPED, async ([bullmq, ioredis]) => {
    const folder = await installPair("types", bullmq, ioredis);
    const cells: string[] = [];
    for (const compiler of compilers) cells.push(await typesCell(folder, compiler, MODES));
    return { name: await nameOf(folder), cells };
  });
  const scenario = await inLanes(RUN, async ([bullmq, ioredis]) => {
    const folder = await installPair("run", bullmq, ioredis);
    const name = await nameOf(folder);
    const programs = await compileScenario(folder, compilers.at(-1)!);
    const cells: string[] = [];
    for (const { program, version } of nodes) {
      const failed = await runScenario(programs, program);
      cells.push(cellOf(`${name}, Node ${version}`, failed, programs.length));
    }
    return { name, cells };
  });
  const jest = await inLanes([OLDEST, "6"], async (bullmq) => {
    const folder = await installPair("jest", bullmq, "6", ...JEST);
    const name = `${await nameOf(folder)}, Jest ${await folder.versionOf("jest")}`;
    const tests = await makeJestProjects(folder);
    const cells: string[] = [];
    for (const { program, version } of nodes) {
      const failed = await runJest(tests, program);
      cells.push(cellOf(`${name}, Node ${version}`, failed, tests.projects.length));
    }
    return { name, cells };
  });
  if (failures.length > 0) return;
  const inNode = nodes.map(({ version }) => `Node ${version}`);
  const inTypeScript = await Promise.all(
    compilers.map(async (compiler) => `TypeScript ${await compiler.versionOf("typescript")}`),
  );
  const page = writePage({
    types: { columns: inTypeScript, rows: types },
    scenario: { columns: inNode, rows: scenario },
    jest: { columns: inNode, rows: jest },
    modes: MODES.map(({ name }) => name),
  });
  await writeFile(join(ROOT, "docs", "compatibility.md"), page);
}

async function installPair(
  name: string,
  bullmq: string,
  ioredis: string,
  ...more: readonly string[]
): Promise<Folder> {
  const packages = [".", `bullmq@${bullmq}`, `ioredis@${ioredis}`, "@types/node@20", ...more];
  return await folders.install(`${name}-${bullmq}-${ioredis}`, ...packages);
}

async function typesCell(folder: Folder, compiler: Folder, modes: typeof MODES): Promise<string> {
  const version = await compiler.versionOf("typescript");
  const possible = modes.filter((mode) => isOf(mode, Number.parseInt(version, 10)));
  const failed = await checkTypes(folder, compiler, possible);
  return cellOf(`${await nameOf(folder)}, TypeScript ${version}`, failed, possible.length);
}

/** Says how a cell went, and remembers what failed. */
function cellOf(what: string, failed: readonly string[], of: number): string {
  const cell = `${of - failed.length} of ${of}`;
  process.stdout.write(`${what}: ${cell}\n`);
  failures.push(...failed.map((failure) => `${what}: ${failure}`));
  return cell;
}

async function nameOf(folder: Folder): Promise<string> {
  const [bullmq, ioredis] = [await folder.versionOf("bullmq"), await folder.versionOf("ioredis")];
  return `BullMQ ${bullmq}, ioredis ${ioredis}`;
}

async function installTypeScript(versions: readonly string[]): Promise<Folder[]> {
  return await Promise.all(
    versions.map(async (version) => {
      return await folders.install(`typescript-${version}`, `typescript@${version}`);
    }),
  );
}

/** Node comes as a package too, one for each platform. */
async function installNode(version: string): Promise<{ program: string; version: string }> {
  const name = `node-${process.platform}-${process.arch}`;
  const folder = await folders.install(`node-${version}`, `${name}@${version}`);
  const program = join(folder.path, "node_modules", name, "bin", "node");
  return { program, version: await folder.versionOf(name) };
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
