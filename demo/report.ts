import { styleText } from "node:util";
import type { Audit } from "./bank.ts";
import type { Failure } from "./ledger.ts";
import { ATTEMPTS, type Result } from "./round.ts";

const WIDTH = 78;
const MOST_REASONS = 10;
const MOST_LINES = 60;

/** One round, as the workers and the bank observed it. */
export interface Seen {
  result: Result;
  audit: Audit;
}

type Row = readonly [what: string, of: (seen: Seen) => string, isGood?: (seen: Seen) => boolean];

/** Draws the figures of rounds side by side. */
export function drawTable(heads: readonly string[], seen: readonly Seen[], what: string): string {
  const rows: Row[] = [
    ["jobs completed", ({ result }) => `${result.ledger.completed} of ${result.added}`],
    [`jobs at once, all ${what}s`, ({ audit }) => String(audit.peak)],
    [
      `jobs at once, one ${what}`,
      ({ audit }) => String(audit.peakOfOne),
      ({ audit }) => audit.peakOfOne <= 1,
    ],
    [
      `overlaps in one ${what}`,
      ({ audit }) => String(audit.overlaps),
      ({ audit }) => audit.overlaps === 0,
    ],
    ["lost updates", ({ audit }) => String(audit.lost), ({ audit }) => audit.lost === 0],
    ["nine of ten jobs done after", ({ result }) => timeUntil(0.9, result)],
    ["all jobs done after", ({ result }) => timeUntil(1, result)],
  ];
  const first = Math.max(...rows.map(([label]) => label.length));
  const widths = heads.map((head) => Math.max(head.length, 10));
  const line = (label: string, cells: readonly string[]): string =>
    `  ${label.padEnd(first)}  ${cells.join("  ")}`;
  return [
    line(
      "",
      heads.map((head, at) => styleText("bold", head.padStart(widths[at] ?? 0))),
    ),
    ...rows.map(([label, of, isGood]) =>
      line(
        label,
        seen.map((each, at) => {
          const cell = of(each).padStart(widths[at] ?? 0);
          return isGood === undefined ? cell : styleText(isGood(each) ? "green" : "red", cell);
        }),
      ),
    ),
  ].join("\n");
}

function timeUntil(share: number, { ledger, startedAt }: Result): string {
  const last = ledger.settledAt[Math.ceil(ledger.settled * share) - 1] ?? startedAt;
  return seconds(last - startedAt);
}

/** Describes how long the jobs of a round with the lock waited for their keys. */
export function describeWaits({ ledger }: Result, what: string): string[] {
  const { activations, settled, mostAttempts, skipped } = ledger;
  const waits = ledger.waits.toSorted((a, b) => a - b);
  const median = seconds(waits[Math.floor(waits.length / 2)] ?? 0);
  const met =
    waits.length === 0
      ? `no job ${skipped > 0 ? "waited for" : "met"} a held ${what}`
      : `${count(waits.length, "job")} met a held ${what} and were parked, using no worker slot: ` +
        `${median} (median), ${seconds(waits.at(-1) ?? 0)} (longest)`;
  return [
    met,
    `${activations} activations for ${count(settled, "job")}; attempts used: at most ${mostAttempts} of ${ATTEMPTS}`,
  ];
}

/** Lists the failed jobs by reason. */
export function listFailures(failures: readonly Failure[]): string {
  const shown = failures.slice(0, MOST_REASONS).map(({ reason, jobs }) => {
    const lines = jobs.map((job) => Number(job.slice(job.lastIndexOf("-") + 1)));
    return `${wrap(reason, 4)}\n${wrap(describeLines(lines), 6)}`;
  });
  const rest = failures.length - shown.length;
  return [...shown, ...(rest > 0 ? [`    and ${rest} more reasons`] : [])].join("\n");
}

/** `lines 1, 3-7, 9`. */
export function describeLines(numbers: readonly number[]): string {
  const ranges: { from: number; to: number }[] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last.to === number - 1) last.to = number;
    else ranges.push({ from: number, to: number });
  }
  const written = ranges
    .slice(0, MOST_LINES)
    .map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`));
  const rest = ranges.length > MOST_LINES ? ", ..." : "";
  return `${numbers.length === 1 ? "line" : "lines"} ${written.join(", ")}${rest}`;
}

/** Breaks a text at blanks. Each line is indented by this many columns; the first may begin with a bullet. */
export function wrap(text: string, indent: number, bullet = ""): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/[\p{Control} ]+/u)) {
    if (line !== "" && indent + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line]
    .map((each, at) => (at === 0 ? bullet : "").padEnd(indent) + each)
    .join("\n");
}

/** Cuts a text that is too long for a line. */
export function shorten(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest - 3)}...`;
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

export function seconds(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
