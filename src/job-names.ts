/** The job that asks for a lock: BullMQ's own object, which is looked at only when there is something to tell. */
export interface AskingJob {
  readonly id?: string | undefined;
  readonly queueName: string;
  readonly queueQualifiedName?: string;
}

/** How events name the job of a lock. Both are `undefined` for a lock that no job has asked for. */
export interface JobNames {
  /** `prefix:queue:id`. */
  job: string | undefined;
  /** The name of the queue, without the prefix. */
  queue: string | undefined;
}

/** Names the job of a lock. */
export function namesOf(job: AskingJob | undefined): JobNames {
  if (job === undefined) return { job: undefined, queue: undefined };
  const { id = "no id", queueName, queueQualifiedName = queueName } = job;
  return { job: `${queueQualifiedName}:${id}`, queue: queueName };
}
