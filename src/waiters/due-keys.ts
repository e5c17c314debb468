import type { TimerHeap, Task } from "../timer-heap.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { Quarantines } from "../lock/quarantines.ts";
import { after } from "../pause.ts";
import { type DueReply, dueOperation } from "./due-operation.ts";
import { repairWaitLists } from "./repair.ts";
import { type ReservationMessages, SUBSCRIBING } from "./reservation-messages.ts";

/** Milliseconds between two questions for keys that are due: what an idle process costs each master. */
const INTERVAL = 1_000;
/** Milliseconds until the next question when a master has named as many keys as one answer holds. */
const PAGE_INTERVAL = 50;
/**
 * When the wait lists of a master in quarantine are repaired, as a part of what is left: holders have set their keys there again, and
 * not all processes begin at once.
 */
const REPAIR_FROM = 0.4;
const REPAIR_TO = 0.8;

/**
 * Finds the keys that no process looks after: free keys that parked jobs of this process's queues wait for. The process that
 * parked the job is gone, or did not receive the message that would have woken it. Also finds masters that have lost their memory, and
 * gives them back the wait lists of these queues.
 */
export class DueKeys implements Task {
  due = Infinity;
  readonly #context: LockContext;
  readonly #timers: TimerHeap;
  readonly #messages: ReservationMessages;
  readonly #check: (key: string) => void;
  /** By encoded queueId: when a worker of this process has last taken up a job of the queue. */
  readonly #servedAt = new Map<string, number>();
  readonly #quarantines: Quarantines;
  readonly #closing = new AbortController();

  /** @param check is called with each key that is due. */
  constructor(
    context: LockContext,
    timers: TimerHeap,
    messages: ReservationMessages,
    check: (key: string) => void,
  ) {
    this.#context = context;
    this.#timers = timers;
    this.#messages = messages;
    this.#check = check;
    const { masters, clock } = context;
    this.#quarantines = new Quarantines(masters.names.length, masters.quorum, clock, {
      quarantined: (node, remaining) => this.#repairSoon(node, remaining),
      noQuorum: () => {},
    });
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
    this.#closing.abort();
    for (const queueId of this.#servedAt.keys()) this.leave(queueId);
  }

  /** {@link Task} */
  run(now: number): void {
    const { clock, masters, names, random } = this.#context;
    // Not all processes ask at the same time: the first that does serves the key.
    this.due = now + INTERVAL * (0.8 + 0.2 * random.fraction());
    const queues = [...this.#servedAt].map(([queueId, at]) => ({ queueId, servedAgo: now - at }));
    const checked = new Set<string>();
    const { isSubscribed } = this.#messages;
    const process = isSubscribed ? this.#context.process : "";
    const answer = (node: number, { areWaiting, isFull, keys, quarantine }: DueReply): void => {
      this.#quarantines.note(node, quarantine);
      if (isFull) this.#askBy(now + PAGE_INTERVAL);
      // The processes that have parked these jobs may be gone.
      if (areWaiting && !isSubscribed) {
        this.#messages.subscribe([]);
        this.#askBy(clock.now() + SUBSCRIBING);
      }
      for (const key of keys) {
        // @protection due keys are checked
        if (!checked.has(key)) this.#check(key);
        checked.add(key);
      }
    };
    masters.broadcast(dueOperation, { names, process, queues }, { answer, failure: () => {} });
  }

  #repairSoon(node: number, quarantine: number): void {
    const { clock, random } = this.#context;
    const part = REPAIR_FROM + (REPAIR_TO - REPAIR_FROM) * random.fraction();
    // @protection a master that has lost its memory is given back its wait lists
    after(clock, quarantine * part, this.#closing.signal, () => void this.#repair(node));
  }

  async #repair(node: number): Promise<void> {
    for (const queueId of this.#servedAt.keys()) {
      if (this.#closing.signal.aborted) return;
      await repairWaitLists(this.#context, node, queueId, this.#closing.signal).catch(() => {
        // The master is away again: another quarantine follows.
      });
    }
  }

  #askBy(at: number): void {
    this.due = Math.min(this.due, at);
    this.#timers.update(this);
  }
}
