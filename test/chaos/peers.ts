/**
 * Runs ours and other libraries under the same faults, and writes the table of `docs/guarantees.md`: `npm run
 * chaos:peers`. Their packages are those of the benchmark.
 */
import { readFileSync } from "node:fs";
import { cpus, release, totalmem, type as systemName } from "node:os";
import { basename } from "node:path";
import { findRedisServer } from "../../src/testing/find-redis-server.ts";
import { putLines } from "../support/put-lines.ts";
import type { Contender } from "./lock-client.ts";
import { type Report, runChaos } from "./run.ts";
import { summarise } from "./violations.ts";

/** The same for all. */
const SEEDS = [1, 2, 3];
/** Seconds of faults of one run. */
const SECONDS = 40;
const CONTENDERS: readonly Contender[] = [
  "bullmq-redlock",
  "bullmq-redlock, restartGuard: false",
  "redlock",
  "redlock-universal",
  "redis-semaphore",
];
const page = new URL("../../docs/guarantees.md", import.meta.url);

function versionOf(name: string): string {
  const file = new URL(`../../bench/node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

async function describeRun(faults: number): Promise<string> {
  const server = await findRedisServer();
  const peers = ["redlock", "redlock-universal", "redis-semaphore"];
  const machine = `${cpus().length} cores, ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB, ${systemName()} ${release()}`;
  return (
    `Seeds ${SEEDS.join(", ")}, ${SECONDS} s of faults each, ${faults} faults for each library. ${machine}; Node ` +
    `${process.version}, ${basename(server.path)} ${server.version}; ${peers.map((name) => `${name} ${versionOf(name)}`).join(", ")}.`
  );
}

function rowOf(contender: Contender, reports: readonly Report[]): string {
  const sum = (figure: (report: Report) => number): number =>
    reports.reduce((total, report) => total + figure(report), 0);
  const cells = [
    contender,
    sum(({ grants }) => grants),
    sum(({ overlaps }) => overlaps),
    sum(({ believedOverlaps }) => believedOverlaps),
    `${sum(({ refused }) => refused)} / ${sum(({ landed }) => landed)}`,
    sum(({ stuck }) => stuck.length),
    sum(({ late }) => late.length),
    sum(({ unsettled }) => unsettled.length),
    `${sum(({ crashes }) => crashes)} / ${sum(({ unhandled }) => unhandled.length)}`,
  ];
  return `| ${cells.join(" | ")} |`;
}

const rows = [
  "| Library | Locks granted | Overlaps within claimed windows | Overlaps by its own belief | Late writes refused / landed | Keys stuck | Calls beyond the bound | Calls never settled | Crashes / unhandled rejections |",
  "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
];
let faults = 0;
for (const contender of CONTENDERS) {
  const reports: Report[] = [];
  for (const seed of SEEDS) {
    const report = await runChaos({ contender, seed, ms: SECONDS * 1_000 });
    console.log(summarise(report));
    for (const line of [...report.examples, ...new Set(report.unhandled)]) console.log(`  ${line}`);
    reports.push(report);
  }
  faults = reports.flatMap((report) => Object.values(report.faults)).reduce((a, b) => a + b, 0);
  rows.push(rowOf(contender, reports));
}
const lines = [...rows, "", await describeRun(faults)];
console.log(lines.join("\n"));
putLines(page, { name: "peers", command: "npm run chaos:peers", lines });
