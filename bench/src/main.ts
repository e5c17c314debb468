/** Measures ours beside a hand-written lower bound and other libraries: `npm run bench`. */
import { GOALS_HEAD, goalsOf } from "./goals.ts";
import { describeMachine, loadNow } from "./machine.ts";
import { measure } from "./measure.ts";
import { readOptions } from "./options.ts";
import { writePage } from "./page.ts";
import { tableOf } from "./table.ts";

const { scenarios, rounds, writes } = readOptions(process.argv.slice(2));
const say = (line: string): void => console.error(`[bench] ${line}`);
const loadBefore = loadNow();
const tables: string[] = [];
const goals: string[] = [];
for (const scenario of scenarios) {
  const measured = await measure(scenario, rounds, say);
  const section = [
    `### ${scenario.title}`,
    "",
    scenario.text,
    "",
    ...tableOf(scenario, measured),
    "",
  ];
  console.log(section.join("\n"));
  tables.push(...section);
  goals.push(...goalsOf(scenario, measured));
}
const goalTable = goals.length === 0 ? [] : [...GOALS_HEAD, ...goals, ""];
console.log(goalTable.join("\n"));
const machine = [
  ...(await describeMachine()),
  `${rounds} rounds, fewer where said; load of the machine before ${loadBefore}, after ${loadNow()} (the benchmark itself keeps it near 2)`,
];
console.log(machine.join("\n"));
if (writes) {
  writePage([...machine.map((line) => `- ${line}`), "", ...goalTable, ...tables]);
}
