import type { Measurement } from "./measure.ts";
import type { Column, Scenario } from "./scenario.ts";
import { median } from "./statistics.ts";

/** The table of a scenario in Markdown: medians, with the least and the most in brackets, and ratios. */
export function tableOf(scenario: Scenario, measured: Measurement): string[] {
  const [base = ""] = scenario.contenders;
  const head = scenario.columns.flatMap(({ title, ratio }) => (ratio ? [title, "ratio"] : [title]));
  const rows = scenario.contenders.map((contender) => {
    const cells = scenario.columns.flatMap((column) => {
      const values = measured.get(contender)?.get(column.figure) ?? [];
      const basis = measured.get(base)?.get(column.figure) ?? [];
      const ratio = median(values) / median(basis);
      return column.ratio ? [cell(values, column), write(ratio, 2)] : [cell(values, column)];
    });
    return `| ${[contender, ...cells].join(" | ")} |`;
  });
  return [`| ${["", ...head].join(" | ")} |`, `| --- |${" ---: |".repeat(head.length)}`, ...rows];
}

function cell(values: readonly number[], { digits }: Column): string {
  if (values.length === 0) return "";
  const middle = write(median(values), digits);
  if (values.length === 1) return middle;
  return `${middle} (${write(Math.min(...values), digits)} – ${write(Math.max(...values), digits)})`;
}

function write(value: number, digits: number): string {
  if (value === Infinity) return "never";
  if (Number.isNaN(value)) return "";
  return value.toLocaleString("en", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}
