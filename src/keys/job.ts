/** The parts of a job that a key can be made from. A BullMQ `Job` is one. */
export interface KeyJob {
  readonly id?: string | undefined;
  readonly name: string;
  readonly queueName: string;
  readonly data: unknown;
  readonly opts: unknown;
}

/** Names a job in an error message, as `queue:id`, whatever was passed as the job. */
export function describeJob(job: KeyJob): string {
  try {
    return `${job.queueName}:${job.id ?? "no id"}`;
  } catch {
    return "unreadable";
  }
}
