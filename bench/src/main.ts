/** Measures ours beside a hand-written lower bound and other libraries: `npm run bench`. */
import { describeMissed, GOALS_HEAD, goalsOf } from "./goals.ts";
import { describeMachine, loadNow } from "./machine.ts";
import { type Measurement, measure, roundsOf } from "./measure.ts";
import { readOptions } from "./options.ts";
import { writePage } from "./page.ts";
import { tableOf } from "./table.ts";

const { scenarios, rounds, writes } = readOptions(process.argv.slice(2));
const NOTHING: Measurement = new Map();
const say = (line: string): void => console.error(`[bench] ${line}`);
const loadBefore = loadNow();
const startedAt = performance.now();
const tables: string[] = [];
const goals: string[] = [];
for (const scenario of scenarios) {
  // What was measured before and after is not lost with a scenario that fails.
  const measured = await measure(scenario, rounds, say).catch((error: unknown) => {
    process.exitCode = 1;
    say(`${scenario.name} failed: ${String(error)}`);
    return NOTHING;
  });
  const section = [
    `### ${scenario.title}`,
    "",
    `${scenario.text} ${describeRounds(roundsOf(scenario, rounds))}`,
    "",
    ...tableOf(scenario, measured),
    "",
  ];
  console.log(section.join("\n"));
  tables.push(...section);
  goals.push(...goalsOf(scenario, measured));
}
const verdict = goals.length === 0 ? [] : [describeMissed(goals), "", ...GOALS_HEAD, ...goals, ""];
console.log(verdict.join("\n"));
const machine = [
  ...(await describeMachine()),
  `it took ${Math.round((performance.now() - startedAt) / 60_000)} minutes; load of the machine before ${loadBefore}, after ${loadNow()} (the benchmark itself keeps it near 2)`,
];
console.log(machine.join("\n"));
if (writes) {
  await writePage([
    ...machine.map((line) => `- ${line}`),
    "",
    "## Figures",
    "",
    ...tables,
    "## Goals",
    "",
    ...verdict,
  ]);
}

function describeRounds(count: number): string {
  return count === 1 ? "One round." : `${count} rounds.`;
}
