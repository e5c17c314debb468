import { Queue } from "bullmq";
import { fill, type JobData } from "./load.ts";
import { type JobRecord, Shift } from "./shift.ts";

/** One run of jobs in one process. */
export interface JobRun {
  readonly wrapping: string;
  /** The queue's server first, then the masters. */
  readonly urls: readonly string[];
  readonly queue: string;
  readonly concurrency: number;
  readonly jobs: readonly Omit<JobData, "index">[];
  /** Which jobs the run is about; it ends with them, and the others take no more time. @defaultValue all */
  readonly about?: (key: string) => boolean;
}

/** Fills a queue, works until the jobs in question are done, and empties it. */
export async function runJobs(run: JobRun): Promise<{ records: JobRecord[]; startedAt: number }> {
  const [queueUrl = "", ...masters] = run.urls;
  const { queue: name, concurrency, jobs, about = () => true } = run;
  const connection = { url: queueUrl };
  const queue = new Queue(name, { connection });
  const shift = Shift.of(run.wrapping, masters, { queues: [name], connection, concurrency });
  try {
    await fill(queue, jobs);
    await shift.ready();
    const wanted = jobs.filter(({ key }) => about(key)).length;
    let [seen, done] = [0, 0];
    const startedAt = shift.start();
    await shift.until(() => {
      for (; seen < shift.records.length; seen++) done += about(shift.records[seen]!.key) ? 1 : 0;
      return done >= wanted;
    });
    const records = shift.records.filter(({ key }) => about(key));
    shift.hurry();
    await shift.until(() => shift.records.length >= jobs.length);
    return { records, startedAt };
  } finally {
    await shift.stop();
    await queue.close();
  }
}
