/** Writes the tables of `docs/guarantees.md` from what the simulation does now: `npm run evidence`. */
import { putLines } from "../support/put-lines.ts";
import { measure, TRIES } from "./measure.ts";
import { runScenario } from "./mutant.ts";
import { PROTECTIONS } from "./protections.ts";
import { LIMITS, SCENARIOS, type Scenario } from "./scenarios.ts";

/** Seeds of each scenario in the table. */
const SEEDS = 13;

const page = new URL("../../docs/guarantees.md", import.meta.url);

async function scenarioTable(scenarios: readonly Scenario[]): Promise<string[]> {
  const rows = [
    "| Scenario | Locks granted | Faults | Overlaps | Tokens out of order | Updates lost: no fence / checked at the write / claimed before reading |",
    "| --- | --- | --- | --- | --- | --- |",
  ];
  for (const scenario of scenarios) {
    const reports = await runScenario(scenario, { from: 0, to: SEEDS });
    const sum = (select: (report: (typeof reports)[number]) => number): number =>
      reports.reduce((total, report) => total + select(report), 0);
    const faults = sum((report) => Object.values(report.faults).reduce((a, b) => a + b, 0));
    const updates = (["none", "at the write", "claim before reading"] as const)
      .map((discipline) => sum(({ lostUpdates }) => lostUpdates[discipline]))
      .join(" / ");
    const overlaps = sum(({ violations }) => violations.overlap ?? 0);
    const tokens = sum(({ violations }) => violations["token order"] ?? 0);
    rows.push(
      `| ${scenario.name} | ${sum(({ grants }) => grants)} | ${faults} | ${overlaps} | ${tokens} | ${updates} |`,
    );
  }
  return rows;
}

async function protectionTable(): Promise<string[]> {
  const rows = [
    `| Protection | Without it | Scenario | Violations with it | Failed runs without it, of ${TRIES} |`,
    "| --- | --- | --- | --- | --- |",
  ];
  for (const protection of PROTECTIONS) {
    const { name, without, scenario, violation } = protection;
    const { withIt, withoutIt } = await measure(protection);
    rows.push(
      `| ${name} | ${without} | ${scenario.name} | ${withIt.violations[violation] ?? 0} | ${withoutIt.violations[violation] ?? 0} (${violation}) |`,
    );
  }
  return rows;
}

function put(name: string, lines: readonly string[]): void {
  putLines(page, { name, command: "npm run evidence", lines });
}

const scenarios = await scenarioTable(SCENARIOS);
const limits = await scenarioTable(LIMITS);
const protections = await protectionTable();
put("scenarios", scenarios);
put("limits", limits);
put("protections", protections);
console.log([...scenarios, "", ...limits, "", ...protections].join("\n"));
