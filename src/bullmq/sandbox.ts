import type { Job, SandboxedJob } from "bullmq";
import { LinkedSignal } from "./linked-signal.ts";
import type { LockedProcessor } from "./run.ts";
import { describeValue } from "../sentences.ts";

/** What a processor in a file is told about the lock of its job, as it was when the job began. */
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
 * Makes a processor of what sends a job to a child process or a thread: the child gets the lock's token in the job, and
 * the reason of the signal as text.
 */
export function inSandbox(
  send: (job: Job, signal: AbortSignal) => Promise<unknown>,
): LockedProcessor {
  return async (job, _jobToken, signal, { keys, fencingToken }) => {
    tell(job, { keys, fencingToken });
    // An error would arrive as an empty object in a process, and not at all in a thread if it has a function in it.
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

/** Puts `lock` into what BullMQ sends of this activation of a job; nothing of it is stored. */
function tell(job: Job, lock: SandboxedLock): void {
  const asJSONSandbox = job.asJSONSandbox.bind(job);
  // BullMQ gives all fields of this to the processor.
  job.asJSONSandbox = () => ({ ...asJSONSandbox(), lock });
}

/** The reason of a signal as text: our errors begin with their code. */
function describeReason(reason: unknown): string {
  if (typeof reason === "string") return reason;
  if (!(reason instanceof Error)) return describeValue(reason);
  const code = "code" in reason && typeof reason.code === "string" ? `${reason.code}: ` : "";
  return code + reason.message;
}

/** Whether a processor threw the reason of its signal, which came back as another error with the same text. */
function isReason(thrown: unknown, signal: AbortSignal): boolean {
  return (
    signal.aborted &&
    signal.reason instanceof Error &&
    thrown instanceof Error &&
    thrown.message === describeReason(signal.reason)
  );
}
