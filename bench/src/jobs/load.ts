import type { Queue } from "bullmq";

/** The data of a job of the benchmark. */
export interface JobData {
  /** Its place in the order in which the jobs were added. */
  readonly index: number;
  /** What must not run twice at the same time. */
  readonly key: string;
  /** Milliseconds that it takes. */
  readonly ms: number;
}

/** Jobs added in one call. */
const BULK = 500;

/** `count` jobs of `ms` each, on the keys that `keyOf` says. */
export function jobsOf(
  count: number,
  ms: number,
  keyOf: (index: number) => string,
): Omit<JobData, "index">[] {
  return Array.from({ length: count }, (_, index) => ({ key: keyOf(index), ms }));
}

/** Empties a queue and puts these jobs in, in this order. */
export async function fill(
  queue: Queue,
  jobs: readonly Omit<JobData, "index">[],
  first = 0,
): Promise<void> {
  await queue.obliterate({ force: true });
  for (let added = 0; added < jobs.length; added += BULK) {
    const bulk = jobs.slice(added, added + BULK).map((job, i) => ({
      name: "job",
      data: { ...job, index: first + added + i } satisfies JobData,
    }));
    await queue.addBulk(bulk);
  }
}
