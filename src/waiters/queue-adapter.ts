import type { StoredWaiter } from "../lock/wait-list-hooks.ts";
import { encodeQueueId } from "./waiter.ts";

/**
 * What a queue knows of the job of a waiter.
 *
 * - `woken`: it is on its way because this process has woken it.
 * - `parked`: it is in the delayed set of its queue, and can be woken.
 * - `on-its-way`: it waits for a worker anyway.
 * - `parking`: a worker has it, is about to move it to the delayed set, and does not join any more; or it has died.
 * - `active`: a worker has it. If that worker lives, the job asks for its key, or joins again.
 * - `gone`: it does not wait for the key, and never will under this record.
 * - `unknown`: the queue did not answer.
 */
export type JobState =
  | "woken"
  | "parked"
  | "on-its-way"
  | "parking"
  | "active"
  | "gone"
  | "unknown";

/** The parked jobs of one queue, in a process that can wake them. */
export interface QueueAdapter {
  /** Whether its connection is about to close: nothing that can wait is sent. */
  readonly isClosing: boolean;
  /**
   * Wakes a parked job, ahead of the backlog of its queue. Must not throw.
   * @param onSent runs when the request is sent: every later request to the queue finds the job there.
   */
  wake(waiter: StoredWaiter, onSent?: () => void): Promise<JobState>;
  /** Lets a parked job come back by itself soon after its key should be free, if no process wakes it. Must not throw. */
  hasten(waiter: StoredWaiter): Promise<void>;
  /** Reads the state of a job that is in the wait list of a key, or for which the key is kept. Must not throw. */
  stateOf(waiter: StoredWaiter, key: string): Promise<JobState>;
}

/** The adapters of a process; each worker of a queue has its own connection, and so its own adapter. */
export class QueueAdapters {
  /** By encoded queueId, as in positions. */
  readonly #adapters = new Map<string, Set<QueueAdapter>>();

  add(queueId: string, adapter: QueueAdapter): void {
    const encoded = encodeQueueId(queueId);
    const adapters = this.#adapters.get(encoded) ?? new Set();
    this.#adapters.set(encoded, adapters.add(adapter));
  }

  /** @returns true when it was the last one of its queue. */
  remove(queueId: string, adapter: QueueAdapter): boolean {
    const encoded = encodeQueueId(queueId);
    const adapters = this.#adapters.get(encoded);
    if (adapters?.delete(adapter) !== true || adapters.size > 0) return false;
    return this.#adapters.delete(encoded);
  }

  /** Any adapter of a queue. */
  of(encoded: string): QueueAdapter | undefined {
    return this.#adapters.get(encoded)?.values().next().value;
  }
}
