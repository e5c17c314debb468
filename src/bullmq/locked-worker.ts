import { Job, type Processor, Worker, type WorkerOptions } from "bullmq";
import { refuseValue, requireObject, wrongOption } from "../check-options.ts";
import { LockConfigError, type LockConflictError } from "../errors.ts";
import type { Lock } from "../lock/lock.ts";
import type { JobLocks } from "./job-locks.ts";
import { checkLockOptions, type LockSettings } from "./lock-settings.ts";
import type {
  ConflictPolicy,
  MaxWaitPolicy,
  ResultIn,
  SkippedResult,
  SkippingPolicy,
  WithLockOptions,
} from "./options.ts";
import { runLocked } from "./run.ts";
import { inSandbox } from "./sandbox.ts";
import { withLock } from "./with-lock.ts";
import { contextOf } from "./worker-context.ts";

/** BullMQ's type of the data of a job without a declared type. */
type AnyData = Job["data"];
type AnyResult = Job["returnvalue"];

/** The choices that `R`, the result of the jobs, allows: some complete a job with a {@link SkippedResult}. */
type ChoiceFor<R, Choice, Skipping extends Choice> =
  SkippedResult extends ResultIn<R> ? Choice : Exclude<Choice, Skipping>;

/** The options of `withLock` with these choices on a conflict. */
type LockOptionsFor<
  D,
  R,
  N extends string,
  K extends string,
  C extends ConflictPolicy,
> = WithLockOptions<Job<D, R, N>, K, C, ChoiceFor<R, MaxWaitPolicy, "skip">, R>;

/** What makes the result of a skipped job: then that needs no {@link SkippedResult}. */
interface SkippedAs<J extends Job, R> {
  skipResult: (job: J, conflict: LockConflictError) => R | Promise<R>;
}

/**
 * Options of a {@link LockedWorker}: those of a `Worker`, and the lock. Policies that complete a job without having run it
 * need a {@link SkippedResult} in `R`, or, on a conflict, `skipResult`.
 */
export interface LockedWorkerOptions<
  D = AnyData,
  R = AnyResult,
  N extends string = string,
  K extends string = string,
> extends WorkerOptions {
  /** As for `withLock`. */
  lock:
    | LockOptionsFor<D, R, N, K, ChoiceFor<R, ConflictPolicy, SkippingPolicy>>
    | (LockOptionsFor<D, R, N, K, ConflictPolicy> & SkippedAs<Job<D, R, N>, R>);
}

/** The path or URL of a file, or a function that is wrapped by `withLock`. */
type FileOrFunction<D, R, N extends string> =
  | string
  | URL
  | ((job: Job<D, R, N>, jobToken: string, signal: AbortSignal, lock: Lock) => Promise<R>);

/** Such as BullMQ's `createPostgresBackend`; BullMQ 5 has no type for it. */
type BackendFactory = (name: string, options: never, more?: never) => object;

/**
 * A `Worker` that locks for processors in files, which BullMQ runs in child processes or, with `useWorkerThreads`, in
 * threads.
 *
 * The lock is acquired, extended and released here, in the process of the worker: children need no connection to the masters,
 * and a child that computes for minutes keeps its lock. All options of `withLock` apply. The signal, the third argument of the
 * processor, aborts as under `withLock`; its reason is a text. `job.lock` has the keys and the fencing token, see
 * {@link LockedSandboxedJob}.
 *
 * A processor that is a function is wrapped by `withLock`.
 *
 * @throws {LockConfigError} for a lock option that cannot work, or no processor.
 * @see docs/sandboxed-processors.md
 * @example
 * // The compiler checks the template against the type of the variable; not in `new LockedWorker<Charge>(...)`.
 * const worker: LockedWorker<Charge> = new LockedWorker("charges", "/app/charge.js", {
 *   connection,
 *   lock: { redlock, key: "account:{{data.accountId}}" },
 * });
 */
export class LockedWorker<
  D = AnyData,
  R = AnyResult,
  N extends string = string,
  const K extends string = string,
> extends Worker<D, R, N> {
  readonly #locks: JobLocks;
  /** Whether the processor is in a file; `withLock` has wrapped a function. */
  readonly #inFile: boolean;

  constructor(
    name: string,
    processor: FileOrFunction<D, R, N>,
    options: LockedWorkerOptions<D, NoInfer<R>, N, K>,
  );
  /** For a queue that BullMQ 6 does not keep in Redis. */
  constructor(
    name: string,
    processor: FileOrFunction<D, R, N>,
    options: Omit<LockedWorkerOptions<D, NoInfer<R>, N, K>, "connection"> & { connection: unknown },
    backendFactory: BackendFactory,
  );
  constructor(
    name: string,
    processor: FileOrFunction<D, R, N>,
    options: LockedWorkerOptions<D, NoInfer<R>, N, K>,
    backendFactory?: BackendFactory,
  ) {
    requireObject("options", options, "the options of a Worker, and lock");
    const { lock, ...rest } = options;
    const settings = underLock(() => checkLockOptions(lock));
    const inFile = isFile(processor);
    // All checks come before the worker exists and takes jobs.
    super(
      name,
      inFile ? processor : (withLock(lock, processor) as Processor<D, R, N>),
      rest,
      backendFactory as undefined,
    );
    this.#locks = { settingsOf: () => settings, coverAll: () => true };
    this.#inFile = inFile;
    void this.#openQueue(settings);
  }

  /** Wakes the waiting jobs of its queue from the first moment on, as a worker does for `withLock` when it has run a job. */
  async #openQueue({ engine }: LockSettings): Promise<void> {
    try {
      await this.waitUntilReady();
    } catch {
      // The worker itself reports it.
      return;
    }
    if (!this.isRunning() || this.closing !== undefined) return;
    const job = new Job(this, "", {});
    await contextOf(job).open(engine, job, this.#locks);
  }

  /** Called by BullMQ for each job. */
  protected override async callProcessJob(
    job: Job<D, R, N>,
    jobToken: string,
    signal?: AbortSignal,
  ): Promise<R> {
    if (!this.#inFile) return await super.callProcessJob(job, jobToken, signal);
    const processor = inSandbox((_job, signal) => super.callProcessJob(job, jobToken, signal));
    return (await runLocked(this.#locks, job, jobToken, signal, processor)) as R;
  }
}

function isFile(processor: unknown): processor is string | URL {
  if (typeof processor === "function") return false;
  if (typeof processor !== "string" && !(processor instanceof URL)) {
    throw wrongOption("processor", processor, "the path or URL of a file, or a function");
  }
  // Without it the jobs would run without a lock.
  if (typeof Reflect.get(Worker.prototype, "callProcessJob") !== "function") {
    refuseValue("bullmq", "a Worker without callProcessJob", "BullMQ 5.72.1 or later, or 6");
  }
  return true;
}

/** Makes errors name an option by its path in the options of the worker. */
function underLock<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof LockConfigError)) throw error;
    const { path, found, expected } = error;
    return refuseValue(`lock.${path}`.replace(/\.options$/, ""), found, expected);
  }
}
