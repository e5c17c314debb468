import type { Report } from "./run.ts";

/** What may not be seen, and was: nothing when all is well. */
export function violationsOf(report: Report): Record<string, unknown> {
  const { overlaps, believedOverlaps, inversions, crashes } = report;
  const { stuck, late, unsettled, unhandled, unexpected } = report;
  const counts = { overlaps, believedOverlaps, inversions, crashes };
  const jobs =
    report.jobs === undefined ? {} : { failed: report.jobs.failed, left: report.jobs.left };
  const lists = { stuck, late, unsettled, unhandled, unexpected };
  return {
    ...Object.fromEntries(Object.entries({ ...counts, ...jobs }).filter(([, count]) => count > 0)),
    ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)),
  };
}

/** A run in a few lines. */
export function summarise(report: Report): string {
  const faults = Object.entries(report.faults)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([kind, count]) => `${kind} ${count}`);
  return [
    `${report.contender}, seed ${report.seed}: ${report.grants} locks granted, ${report.overlaps} overlaps, ` +
      `${report.inversions} tokens out of order, ${report.refused} late writes refused, ${report.landed} landed; ` +
      (report.freeAfter === null
        ? "the run ended with the faults"
        : `all keys granted again ${Math.round(report.freeAfter)} ms after the faults`),
    ...(report.jobs === undefined
      ? []
      : [`  jobs: ${report.jobs.added} added, ${report.jobs.completed} completed`]),
    `  faults: ${faults.join(", ")}`,
  ].join("\n");
}
