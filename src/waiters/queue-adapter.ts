import type { StoredWaiter } from "../lock/wait-list-hooks.ts";

/**
 * What became of a waiter that was called.
 *
 * `called`: it is on its way because of us; `coming`: it is on its way anyway; `taken up`: a worker has it, and it asks for its
 * key, or joins again, if that worker lives; `gone`: it does not wait any more, and never will at this registration;
 * `unknown`: its queue did not answer.
 */
export type JobState = "called" | "coming" | "taken up" | "gone" | "unknown";

/** The parked jobs of one queue, in a process that can bring them back. */
export interface QueueAdapter {
  /**
   * Brings a parked job back, ahead of the backlog of its queue. Must not throw.
   * @param onSent runs when the request is on its way: whatever its queue is asked for after that finds the job.
   */
  call(waiter: StoredWaiter, onSent?: () => void): Promise<JobState>;
  /** The waiter is likely to be called in a moment: what is needed for it may be fetched. Must not throw. */
  expect(waiter: StoredWaiter): void;
  /** Says what has become of a waiter, changes nothing: `called` for one that is still parked. Must not throw. */
  look(waiter: StoredWaiter): Promise<JobState>;
}
