import type { Waiter } from "../lock/lining.ts";

/**
 * What became of a waiter that was called.
 *
 * `called`: it is on its way because of us; `coming`: it is on its way anyway; `taken up`: a worker has it, and it asks for its
 * key, or joins again, if that worker lives; `gone`: it does not wait any more, and never will at this registration;
 * `unknown`: its queue did not answer.
 */
export type Fate = "called" | "coming" | "taken up" | "gone" | "unknown";

/** The parked jobs of one queue, in a process that can bring them back. */
export interface Home {
  /**
   * Brings a parked job back, ahead of the backlog of its queue. Must not throw.
   * @param onSent runs when the request is on its way: whatever its queue is asked for after that finds the job.
   */
  call(waiter: Waiter, onSent?: () => void): Promise<Fate>;
  /** The waiter is likely to be called in a moment: what is needed for it may be fetched. Must not throw. */
  expect(waiter: Waiter): void;
  /** Says what has become of a waiter, changes nothing: `called` for one that is still parked. Must not throw. */
  look(waiter: Waiter): Promise<Fate>;
}
