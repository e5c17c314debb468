import { compareWaiters, type Waiter } from "../waiters/waiter.ts";
import type { JobWorker } from "./bullmq-job.ts";

/** Ends the wait of a job in its worker slot, which a job that was woken needs. */
export const SLOT_NEEDED = new Error("another job needs the worker slot");

/** The worker slots of one worker: a job that waits for its key in one is parked when a job that was woken finds none. */
export class WorkerSlots {
  readonly #worker: JobWorker;
  readonly #waiting = new Map<Waiter, AbortController>();
  #taken = 0;

  constructor(worker: JobWorker) {
    this.#worker = worker;
  }

  /** A job takes a worker slot. @returns a function that frees it; idempotent. */
  take(): () => void {
    this.#taken += 1;
    let isFree = false;
    return () => {
      if (!isFree) this.#taken -= 1;
      isFree = true;
    };
  }

  /** A job waits in its worker slot until `end` is called. The signal aborts with {@link SLOT_NEEDED}. */
  wait(waiter: Waiter): { readonly signal: AbortSignal; end(): void } {
    const controller = new AbortController();
    this.#waiting.set(waiter, controller);
    return { signal: controller.signal, end: () => void this.#waiting.delete(waiter) };
  }

  /** A job was woken. When no worker slot is free for it, the last of the jobs that wait in theirs is parked. */
  makeRoom(): void {
    const { concurrency = Infinity } = this.#worker;
    // @protection a job that waits in its worker slot makes room for one that was woken
    if (this.#taken < concurrency) return;
    const last = [...this.#waiting.keys()].toSorted(compareWaiters).at(-1);
    if (last === undefined) return;
    this.#waiting.get(last)?.abort(SLOT_NEEDED);
    this.#waiting.delete(last);
  }
}
