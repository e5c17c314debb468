import { OURS } from "./contenders.ts";
import type { Measurement } from "./measure.ts";
import type { Goal, Scenario } from "./scenario.ts";
import { median, ratios } from "./statistics.ts";
import { spread } from "./table.ts";

/** Digits of a figure that is compared with a goal. */
const DIGITS = 2;

/** The head of the table of goals in Markdown. */
export const GOALS_HEAD: readonly string[] = [
  "| | goal | reached | |",
  "| --- | ---: | ---: | --- |",
];

/** A line of the table for each goal of a scenario: what was reached, and whether that is enough. */
export function goalsOf(scenario: Scenario, measured: Measurement): string[] {
  return (scenario.goals ?? []).map((goal) => {
    const values = valuesOf(goal, scenario, measured);
    const reached = median(values);
    const enough =
      values.length > 0 &&
      reached <= (goal.most ?? Infinity) &&
      reached >= (goal.least ?? -Infinity);
    return `| ${goal.text}${goal.ratio ? ", ratio" : ""} | ${wanted(goal)} | ${spread(values, DIGITS) || "not measured"} | ${enough ? "yes" : "**no**"} |`;
  });
}

/** Says plainly how many goals were missed. */
export function describeMissed(lines: readonly string[]): string {
  const missed = lines.filter((line) => line.includes("**no**")).length;
  if (missed === 0) return `All ${lines.length} goals are reached.`;
  return `${missed} of ${lines.length} goals ${missed === 1 ? "is" : "are"} not reached: see [where the time goes](#where-the-time-goes).`;
}

function valuesOf(goal: Goal, scenario: Scenario, measured: Measurement): readonly number[] {
  const values = measured.get(goal.contender ?? OURS)?.get(goal.figure) ?? [];
  if (!goal.ratio) return values;
  return ratios(values, measured.get(scenario.contenders[0] ?? "")?.get(goal.figure) ?? []);
}

function wanted({ most, least }: Goal): string {
  return most === undefined ? `≥ ${least}` : `≤ ${most}`;
}
