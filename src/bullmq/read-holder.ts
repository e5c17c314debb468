/** A job that holds a key, as operators want to know it. */
export interface HoldingJob {
  /** Queue and id, such as `bull:invoices:17`; cut when it is long. */
  readonly job: string;
  /** From 1. */
  readonly attempt: number;
  readonly host: string;
  readonly pid: number;
}

const FORM = /^(.+) attempt (\d+) \((.+) pid (\d+)\) #[\w-]+$/su;

/** Reads what a job has stored about itself as the holder of a key; `undefined` when no job has. */
export function readHoldingJob(text: string | undefined): HoldingJob | undefined {
  const [, job, attempt, host, pid] = FORM.exec(text ?? "") ?? [];
  if (job === undefined || host === undefined) return undefined;
  return { job, attempt: Number(attempt), host, pid: Number(pid) };
}
