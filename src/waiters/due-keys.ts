import type { TimerHeap, Task } from "../timer-heap.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { dueOperation, MOST_DUE } from "./due-operation.ts";

/** Milliseconds between two questions for keys that are due: what an idle process costs each master. */
const INTERVAL = 1_000;
/** Milliseconds until the next question when a master has named as many keys as one answer holds. */
const PAGE_INTERVAL = 50;

/**
 * Finds the keys that no process looks after: free keys that parked jobs of this process's queues wait for. The process that
 * parked the job is gone, or did not receive the message that would have woken it.
 */
export class DueKeys implements Task {
  due = Infinity;
  readonly #context: LockContext;
  readonly #timers: TimerHeap;
  readonly #check: (key: string) => void;
  /** By encoded queueId: when a worker of this process has last taken up a job of the queue. */
  readonly #servedAt = new Map<string, number>();

  /** @param check is called with each key that is due. */
  constructor(context: LockContext, timers: TimerHeap, check: (key: string) => void) {
    this.#context = context;
    this.#timers = timers;
    this.#check = check;
  }

  /** A worker of the queue has taken up a job. The first time, and with `ask`, its keys are asked for at once. */
  serve(queueId: string, { ask }: { ask: boolean }): void {
    const now = this.#context.clock.now();
    const isNew = !this.#servedAt.has(queueId);
    this.#servedAt.set(queueId, now);
    if (!isNew && !ask) return;
    this.due = now;
    if (this.#servedAt.size === 1) this.#timers.add(this);
    else this.#timers.update(this);
  }

  /** This process does not look after the queue any longer. */
  leave(queueId: string): void {
    this.#servedAt.delete(queueId);
    if (this.#servedAt.size === 0) this.#timers.remove(this);
  }

  close(): void {
    for (const queueId of this.#servedAt.keys()) this.leave(queueId);
  }

  /** {@link Task} */
  run(now: number): void {
    const { masters, names, random } = this.#context;
    // Not all processes ask at the same time: the first that does serves the key.
    this.due = now + INTERVAL * (0.8 + 0.2 * random.fraction());
    const queues = [...this.#servedAt].map(([queueId, at]) => ({ queueId, servedAgo: now - at }));
    const checked = new Set<string>();
    const answer = (_: number, keys: readonly string[]): void => {
      if (keys.length >= MOST_DUE) {
        this.due = Math.min(this.due, now + PAGE_INTERVAL);
        this.#timers.update(this);
      }
      for (const key of keys) {
        // @protection due keys are checked
        if (!checked.has(key)) this.#check(key);
        checked.add(key);
      }
    };
    masters.broadcast(dueOperation, { names, queues }, { answer, failure: () => {} });
  }
}
