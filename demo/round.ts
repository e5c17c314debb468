import { Queue } from "bullmq";
import { Ledger } from "./ledger.ts";
import { drawBar, type Progress } from "./progress.ts";
import type { Stage } from "./stage.ts";

/** How many jobs are added in one step, and how many the queue holds at most. */
const BATCH = 200;
const FULL = 2_000;

/** The default name of a job. */
export const JOB = "job";

/** How often BullMQ tries a job. */
export const ATTEMPTS = 3;

export interface NewJob {
  id: string;
  data: unknown;
}

/** Jobs that go through a queue. */
export interface Round {
  /** The queue. */
  queue: string;
  /** @defaultValue {@link JOB} */
  name?: string;
  title: string;
  jobs: AsyncIterable<NewJob> | Iterable<NewJob>;
  /** The number of jobs, if it is known. */
  total?: number;
}

/** The outcome of a round. */
export interface Result {
  ledger: Ledger;
  added: number;
  /** By `performance.now()`. */
  startedAt: number;
}

/** Adds the jobs and resolves when the last of them has completed or failed. */
export async function runRound(
  { queue: queueName, name = JOB, title, jobs, total }: Round,
  { crew, urls }: Stage,
  progress: Progress,
  meanwhile: (ledger: Ledger) => Promise<void> = async () => undefined,
): Promise<Result> {
  const queue = new Queue(queueName, { connection: { url: urls.queue } });
  // A failing command throws by itself.
  queue.on("error", () => undefined);
  const ledger = new Ledger();
  const stopListening = crew.listen((news) => ledger.enter(news));
  const startedAt = performance.now();
  let added = 0;
  progress.start(() => {
    const whole = total ?? Math.max(added, 1);
    const waiting = ledger.waiting > 0 ? `, ${ledger.waiting} parked` : "";
    return `${title.padEnd(16)}  ${drawBar(ledger.settled, whole)}  ${ledger.settled} of ${whole} jobs${waiting}`;
  });
  try {
    const all = async (): Promise<void> => {
      for await (const batch of batches(jobs)) {
        await ledger.until(() => added - ledger.settled < FULL);
        await queue.addBulk(
          batch.map(({ id, data }) => ({
            name,
            data,
            opts: { jobId: id, attempts: ATTEMPTS, removeOnComplete: true, removeOnFail: true },
          })),
        );
        added += batch.length;
      }
      await ledger.until(() => ledger.settled === added);
    };
    await Promise.race([Promise.all([all(), meanwhile(ledger)]), crew.broken]);
    return { ledger, added, startedAt };
  } finally {
    progress.stop();
    stopListening();
    await queue.close();
  }
}

async function* batches(jobs: AsyncIterable<NewJob> | Iterable<NewJob>): AsyncGenerator<NewJob[]> {
  let batch: NewJob[] = [];
  for await (const job of jobs) {
    batch.push(job);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
