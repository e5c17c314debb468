/** The job that asks for a lock: BullMQ's own object, read only for events and warnings. */
export interface AskingJob {
  readonly id?: string | undefined;
  readonly queueName: string;
}

/** The names of a lock's job in events. Both are `undefined` for a lock that no job has asked for. */
export interface JobNames {
  /** `prefix:queue:id`. */
  job: string | undefined;
  /** The name of the queue, without the prefix. */
  queue: string | undefined;
}

/** The full name of the queue of a job, `prefix:name`; a job that was made by hand may have the name alone. */
export function queueNameOf(job: AskingJob): string {
  // Protected in BullMQ's types, and its own getter fails on a job without a queue.
  const { queue } = job as { readonly queue?: { readonly qualifiedName?: string } };
  return queue?.qualifiedName ?? job.queueName;
}

/** Names a job for people, as `prefix:queue:id`. */
export function nameOf(job: AskingJob): string {
  return `${queueNameOf(job)}:${job.id ?? "no id"}`;
}

/** Names the job of a lock. */
export function namesOf(job: AskingJob | undefined): JobNames {
  return { job: job && nameOf(job), queue: job?.queueName };
}
