import type { Measurement } from "./measure.ts";
import type { Column, Scenario } from "./scenario.ts";
import { median, ratios } from "./statistics.ts";

const RATIO_DIGITS = 2;

/** The table of a scenario in Markdown: medians, with the least and the most in brackets, and ratios. */
export function tableOf(scenario: Scenario, measured: Measurement): string[] {
  const [base = ""] = scenario.contenders;
  const head = scenario.columns.flatMap(({ title, ratio }) => (ratio ? [title, "ratio"] : [title]));
  const rows = scenario.contenders.map((contender) => {
    const cells = scenario.columns.flatMap(({ figure, digits, ratio }: Column) => {
      const values = measured.get(contender)?.get(figure) ?? [];
      if (!ratio) return [spread(values, digits)];
      const basis = measured.get(base)?.get(figure) ?? [];
      return [spread(values, digits), spread(ratios(values, basis), RATIO_DIGITS)];
    });
    return `| ${[contender, ...cells].join(" | ")} |`;
  });
  return [`| ${["", ...head].join(" | ")} |`, `| --- |${" ---: |".repeat(head.length)}`, ...rows];
}

/** The median, with the least and the most in brackets where they differ. */
export function spread(values: readonly number[], digits: number): string {
  if (values.length === 0) return "";
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)].map(
    (value) => write(value, digits),
  );
  return least === most ? `${middle}` : `${middle} (${least} – ${most})`;
}

function write(value: number, digits: number): string {
  if (value === Infinity) return "never";
  if (Number.isNaN(value)) return "";
  return value.toLocaleString("en", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}
