import type { Job } from "bullmq";

/** BullMQ's own default for `lockDuration`, in ms. */
export const DEFAULT_LOCK_DURATION = 30_000;

/** Field values to write into the hash of a job. */
export type JobFields = Readonly<Record<string, string>>;

/** The parts of BullMQ's storage that we use beyond the methods of a job. */
interface JobStore {
  readonly client?: QueueClient;
  moveToDelayed(
    jobId: string,
    timestamp: number,
    delay: number,
    token: string | undefined,
    options: { skipAttempt: boolean; fieldsToUpdate: JobFields },
  ): Promise<unknown>;
  paginate(
    key: string,
    page: { start: number; end: number },
  ): Promise<{ items: { id: string; v?: unknown }[] }>;
}

/** What BullMQ lets use its Redis client for. */
type QueueClient = Promise<{ hset(key: string, fields: JobFields): Promise<unknown> }>;

/** The options of a worker that we look at. */
export interface JobWorkerOptions {
  readonly lockDuration?: number;
  readonly skipLockRenewal?: boolean;
  readonly maxStartedAttempts?: number;
  readonly limiter?: unknown;
  readonly connection?: unknown;
}

/** The worker that runs a job: at run time it is what BullMQ's types call the queue of the job. */
export interface JobWorker {
  readonly opts?: JobWorkerOptions;
  readonly qualifiedName?: string;
  readonly closing?: unknown;
  readonly backend?: JobStore;
  /** Of BullMQ 5; later ones have it in the backend. */
  readonly client?: QueueClient;
  toKey?(id: string): string;
  once?(event: "closing" | "closed", listener: () => void): unknown;
  pause?(doNotWaitActive: boolean): Promise<void>;
}

/** The static part of BullMQ's `Job`: that of the very copy of BullMQ that runs the jobs. */
export interface JobClass {
  fromId(queue: unknown, id: string): Promise<Job | undefined>;
}

/** Finds the worker of a job; a job that was made by hand has an empty one. */
export function workerOf(job: Job): JobWorker {
  // Protected in the types, but the only way from a job to its worker.
  return (job as unknown as { queue?: JobWorker }).queue ?? {};
}

/** How long BullMQ's own lock of the job lives, in ms; `undefined` when the worker is told not to renew it. */
export function lockDurationOf(job: Job): number | undefined {
  const { opts } = workerOf(job);
  return opts?.skipLockRenewal === true ? undefined : (opts?.lockDuration ?? DEFAULT_LOCK_DURATION);
}

/**
 * Moves a job into the delayed set, and writes `fields` into its hash in the same step. It uses no attempt. A plain object that
 * stands for a job in a test has no queue, and may have no way to be moved: what is thrown after it says what happened.
 * @param now the time, in ms since 1970.
 * @throws what BullMQ throws; see {@link isGone}.
 */
export async function moveToDelayed(
  job: Job,
  jobToken: string | undefined,
  { now, delay, fields }: { now: number; delay: number; fields: JobFields | undefined },
): Promise<void> {
  const store = storeOf(job);
  if (fields === undefined || store === undefined) {
    if (store === undefined && !("moveToDelayed" in job)) return;
    await job.moveToDelayed(now + delay, jobToken);
    return;
  }
  await store.moveToDelayed(job.id ?? "", now, delay, jobToken, {
    skipAttempt: true,
    fieldsToUpdate: fields,
  });
  job.delay = delay;
  // As `Job.moveToDelayed` does for BullMQ's own metrics.
  (job as unknown as { recordJobMetrics?(state: string): void }).recordJobMetrics?.("delayed");
}

/** Whether fields of our own can be kept in a job; PostgreSQL has no room for them. */
export function keepsFields(job: Job): boolean {
  // BullMQ has no other sign of it that every version has.
  return storeOf(job)?.constructor.name !== "PostgresQueueBackend";
}

/** Reads a field that {@link moveToDelayed} wrote, from its JSON. */
export async function readField(job: Job, field: string): Promise<unknown> {
  const worker = workerOf(job);
  const key = worker.toKey?.(job.id ?? "");
  if (key === undefined || !keepsFields(job)) return undefined;
  // BullMQ has no call for one field; this reads the whole hash, as every activation does.
  const page = await storeOf(job)?.paginate(key, { start: 0, end: -1 });
  return page?.items.find(({ id }) => id === field)?.v;
}

/** Where BullMQ keeps why a job is to fail for good when it is taken up next, by whatever worker. */
const DEFERRED_FAILURE = "defa";

/**
 * Has BullMQ fail a job for good, without calling its processor, when it is taken up next.
 * @throws what the queue's Redis throws; an error for a queue in PostgreSQL, which has no way to say that.
 */
export async function failNextTime(job: Job, reason: string): Promise<void> {
  const worker = workerOf(job);
  const client = await (worker.backend ?? worker).client;
  const key = worker.toKey?.(job.id ?? "");
  if (client === undefined || key === undefined || !keepsFields(job)) {
    throw new Error("its queue cannot keep that it is to fail");
  }
  await client.hset(key, { [DEFERRED_FAILURE]: reason });
}

/** BullMQ's codes for a job that was moved, removed, or that another worker has. @see `ErrorCode` of BullMQ */
const GONE = new Set<unknown>([-1, -2, -3, -6]);

/** Whether a failure of BullMQ says that the job is no longer ours to move. */
export function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && GONE.has(error.code);
}

function storeOf(job: Job): JobStore | undefined {
  // BullMQ 5 has the same methods in another place.
  return workerOf(job).backend ?? (job as unknown as { scripts?: JobStore }).scripts;
}
