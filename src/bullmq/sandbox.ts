import type { Job, SandboxedJob } from "bullmq";
import { describeValue } from "../sentences.ts";
import { LinkedSignal } from "./job-signal.ts";
import type { LockedProcessor } from "./run.ts";

/** The lock of a job as a processor in a file sees it: as it was when the job began. */
export interface SandboxedLock {
  /** Empty for a job that runs without a lock. */
  readonly keys: readonly string[];
  /** 0 for a job that runs without a lock. */
  readonly fencingToken: number;
}

/**
 * The job that a processor in a file gets from a `LockedWorker`: BullMQ's `SandboxedJob<D, R>` with `lock` in it.
 * @example
 * export default async function (job: LockedSandboxedJob<Charge>, jobToken: string, signal: AbortSignal) {
 *   await charge(job.data, { fence: job.lock.fencingToken, signal });
 * }
 */
export type LockedSandboxedJob<D = Job["data"], R = Job["returnvalue"]> = SandboxedJob<D, R> & {
  readonly lock: SandboxedLock;
};

/**
 * Makes a processor of a function that sends a job to a child process or a thread: the child gets the lock's token in the job,
 * and the reason of the signal as text.
 */
export function inSandbox(
  send: (job: Job, signal: AbortSignal) => Promise<unknown>,
): LockedProcessor {
  return async (job, _jobToken, signal, { keys, fencingToken }) => {
    addLock(job, { keys, fencingToken });
    // A process would receive an error as an empty object, and a thread would not receive an error that has a function in it.
    const crossing = new LinkedSignal().follow(signal, describeReason);
    try {
      return await send(job, crossing.signal);
    } catch (error) {
      throw isReason(error, signal) ? signal.reason : error;
    } finally {
      crossing.unlink();
    }
  };
}

/** Adds `lock` to what BullMQ sends of this activation of a job; it is not stored. */
function addLock(job: Job, lock: SandboxedLock): void {
  const asJSONSandbox = job.asJSONSandbox.bind(job);
  // The processor receives all fields of it.
  job.asJSONSandbox = () => ({ ...asJSONSandbox(), lock });
}

/** The reason of a signal as text: our errors begin with their code. */
function describeReason(reason: unknown): string {
  if (typeof reason === "string") return reason;
  if (!(reason instanceof Error)) return describeValue(reason);
  const code = "code" in reason && typeof reason.code === "string" ? `${reason.code}: ` : "";
  return code + reason.message;
}

/** Whether a processor threw the reason of its signal, which comes back as another error with the same text. */
function isReason(thrown: unknown, signal: AbortSignal): boolean {
  return (
    signal.aborted &&
    signal.reason instanceof Error &&
    thrown instanceof Error &&
    thrown.message === describeReason(signal.reason)
  );
}
