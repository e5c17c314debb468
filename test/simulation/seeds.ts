/** Which seeds are run. */
export interface Seeds {
  readonly from: number;
  readonly to: number;
  /** A violation after which no further one is run. */
  readonly until?: string;
}

/** Runs one seed after the other. */
export async function runSeeds<R extends { readonly violations: object }>(
  { from, to, until }: Seeds,
  run: (seed: number) => Promise<R>,
): Promise<R[]> {
  const reports: R[] = [];
  for (let seed = from; seed < to; seed++) {
    const report = await run(seed);
    reports.push(report);
    if (until !== undefined && until in report.violations) break;
  }
  return reports;
}
