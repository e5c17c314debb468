import { Writable } from "node:stream";
import type { Job } from "bullmq";
import { refuseValue, requireObject } from "../check-options.ts";
import { describeKind } from "../sentences.ts";

/** BullMQ's own default for `lockDuration`, in ms. */
export const DEFAULT_LOCK_DURATION = 30_000;

/** Fields to write into the hash of a job. */
export type JobFields = Readonly<Record<string, string>>;

/** The parts of BullMQ's storage that are used beyond the methods of a job. */
interface JobStore {
  readonly client?: Promise<object>;
  moveToDelayed(
    jobId: string,
    timestamp: number,
    delay: number,
    token: string | undefined,
    options: { skipAttempt: boolean; fieldsToUpdate?: JobFields },
  ): Promise<unknown>;
  paginate(
    key: string,
    page: { start: number; end: number },
  ): Promise<{ items: { id: string; v?: unknown }[] }>;
}

/** The client in the form that BullMQ 6 gives to every client. */
interface AdaptedClient {
  defineCommand(name: string, definition: { numberOfKeys: number; lua: string }): void;
  runCommand(name: string, args: readonly string[]): Promise<unknown>;
}

/** The client of ioredis itself, which BullMQ 5 gives. */
type PlainClient = Pick<AdaptedClient, "defineCommand"> &
  Record<string, (...args: readonly string[]) => Promise<unknown>>;

/** A script for the Redis of a queue. */
interface QueueScript {
  readonly name: string;
  readonly lua: string;
  /** @defaultValue 1 */
  readonly keys?: number;
}

/** The scripts that each client knows: ioredis sends the text of a script again when it is defined again. */
const defined = new WeakMap<object, Set<string>>();

/** The options of a worker that matter to a lock. */
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
  readonly concurrency?: number;
  /** The function that it calls for each job. */
  readonly processFn?: unknown;
  readonly backend?: JobStore;
  /** In BullMQ 5; BullMQ 6 has it in the backend. */
  readonly client?: Promise<object>;
  toKey?(id: string): string;
  once?(event: "closing" | "closed", listener: () => void): unknown;
  pause?(doNotWaitActive: boolean): Promise<void>;
}

/** The static part of BullMQ's `Job`, of the same copy of BullMQ that runs the jobs. */
export interface JobClass {
  fromId(queue: unknown, id: string): Promise<Job | undefined>;
}

/** Finds the worker of a job; a job that was made by hand has an empty one. */
export function workerOf(job: Job): JobWorker {
  // Protected in the types, but there is no other way from a job to its worker.
  return (job as unknown as { queue?: JobWorker }).queue ?? {};
}

const A_JOB = "a job of BullMQ: queue.getJob() gives undefined for one that was removed";

/** Throws unless `job` is a job of BullMQ. @throws {LockConfigError} */
export function requireJob(job: unknown): asserts job is Job {
  requireObject("job", job, A_JOB);
  if (!("getState" in job)) refuseValue("job", describeKind(job), A_JOB);
}

/** Finds the class of a job. */
export function jobClassOf(job: Job): JobClass {
  return job.constructor as unknown as JobClass;
}

/** How long BullMQ's own lock of the job lives, in ms; `undefined` when the worker is set not to renew it. */
export function lockDurationOf(job: Job): number | undefined {
  const { opts } = workerOf(job);
  return opts?.skipLockRenewal === true ? undefined : (opts?.lockDuration ?? DEFAULT_LOCK_DURATION);
}

/**
 * Moves a job to the delayed set and writes `fields` into its hash in the same step. It uses no attempt. A plain object that
 * stands for a job in a test may have no queue and no method to be moved; the error that is thrown afterwards is its result.
 * @param now the time, in ms since 1970.
 * @throws what BullMQ throws; see {@link isGone}.
 */
export async function moveToDelayed(
  job: Job,
  jobToken: string | undefined,
  { now, delay, fields }: { now: number; delay: number; fields: JobFields | undefined },
): Promise<void> {
  const store = storeOf(job);
  if (store === undefined || (fields === undefined && !keepsFields(job))) {
    if ("moveToDelayed" in job) await job.moveToDelayed(now + delay, jobToken);
    return;
  }
  // Empty fields would fail half-way.
  await store.moveToDelayed(job.id ?? "", now, delay, jobToken, {
    skipAttempt: true,
    ...(fields && { fieldsToUpdate: fields }),
  });
  job.delay = delay;
  // As `Job.moveToDelayed` does for BullMQ's own metrics.
  (job as unknown as { recordJobMetrics?(state: string): void }).recordJobMetrics?.("delayed");
}

/** Whether a job can keep fields of this library; PostgreSQL has no room for them. */
export function keepsFields(job: Job): boolean {
  // BullMQ has no other sign of it that every version has.
  return storeOf(job)?.constructor.name !== "PostgresQueueBackend";
}

/** Reads a field that {@link moveToDelayed} wrote, parsed from its JSON. */
export async function readField(job: Job, field: string): Promise<unknown> {
  const key = workerOf(job).toKey?.(job.id ?? "");
  if (key === undefined || !keepsFields(job)) return undefined;
  // BullMQ has no call for one field; this reads the whole hash, as every activation does.
  const page = await storeOf(job)?.paginate(key, { start: 0, end: -1 });
  return page?.items.find(({ id }) => id === field)?.v;
}

/** Writes why a delayed job fails for good into the field in which BullMQ looks for it when any worker takes the job up next. */
const FAIL_NEXT_TIME = {
  name: "bullmqRedlockFailNextTime",
  keys: 2,
  lua: `
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'defa', ARGV[2])
return 1`,
};

/**
 * Makes BullMQ fail a delayed job for good, without calling its processor, when it is taken up next. A job that has been removed
 * must not come back because of the field, so that one step looks for the job and writes.
 * @returns whether the job is delayed.
 * @throws what the queue's Redis throws; an error for a queue on PostgreSQL, which has no such field.
 */
export async function failNextTime(job: Job, reason: string): Promise<boolean> {
  const worker = workerOf(job);
  const { id = "" } = job;
  if (worker.toKey === undefined || !keepsFields(job)) {
    throw new Error("its queue cannot store a deferred failure");
  }
  const keys = [worker.toKey(id), worker.toKey("delayed")];
  return (await runScript(worker, FAIL_NEXT_TIME, keys, [id, reason])) === 1;
}

/** BullMQ's codes for a job that was moved or removed, or that another worker has. @see `ErrorCode` of BullMQ */
const GONE = new Set<unknown>([-1, -2, -3, -6]);

/** Whether a failure of BullMQ means that this activation can no longer move the job. */
export function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && GONE.has(error.code);
}

/** The clients of workers that are known without a step of the program. */
const clients = new WeakMap<JobWorker, { readonly stream?: unknown }>();

/**
 * Sends what this step of the program writes to a queue's Redis together, and before what it sends to the masters: each write of its
 * own wakes that server, and its answer this process. Best effort, from the second call for a worker on.
 */
export function sendTogether(worker: JobWorker): void {
  const stream = clients.get(worker)?.stream;
  if (stream instanceof Writable) {
    stream.cork();
    process.nextTick(() => stream.uncork());
  } else {
    (worker.backend ?? worker).client?.then(
      (client) => clients.set(worker, client),
      // The request that follows reports it.
      () => undefined,
    );
  }
}

/**
 * Runs a script in the Redis of a worker's queue.
 * @param onSent runs when the request is sent.
 * @throws what the connection throws.
 */
export async function runScript(
  worker: JobWorker,
  { name, lua, keys: numberOfKeys = 1 }: QueueScript,
  keys: readonly string[],
  args: readonly string[],
  onSent?: () => void,
): Promise<unknown> {
  const client = (await (worker.backend ?? worker).client) as unknown as PlainClient &
    AdaptedClient;
  const known = defined.get(client) ?? new Set();
  if (!known.has(name)) {
    client.defineCommand(name, { numberOfKeys, lua });
    defined.set(client, known.add(name));
  }
  const isAdapted = typeof client.runCommand === "function";
  const all = [...keys, ...args];
  const reply = isAdapted ? client.runCommand(name, all) : client[name]?.(...all);
  onSent?.();
  return await reply;
}

function storeOf(job: Job): JobStore | undefined {
  // BullMQ 5 has the same methods on another object.
  return workerOf(job).backend ?? (job as unknown as { scripts?: JobStore }).scripts;
}
