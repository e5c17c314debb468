import type { Clock, Timer } from "./clock.ts";

/** Something that runs at a time, which may change. */
export interface Task {
  /** Clock time of the next run. {@link TimerHeap.update} must be called when it becomes earlier, not when it becomes later. */
  readonly due: number;
  /** Belongs to the {@link TimerHeap} that the task is in. */
  entry?: TimerEntry | undefined;
  /** Runs at `due` or soon after; then `due` is read again. Must not throw. */
  run(now: number): void;
}

/** Outdated entries that are tolerated before the heap is built anew. */
const SPARE_ENTRIES = 256;

/** Longest timer, in ms: timers stop while a machine is suspended, and the clock does not. */
const LONGEST_SLEEP = 1_000;

/** Where a task stands in a heap. */
interface TimerEntry {
  /** `undefined` in an entry that is outdated: it must not keep the memory of its task. */
  task: Task | undefined;
  readonly at: number;
}

/**
 * Any number of tasks on one timer: a heap by time. A client has one heap for heartbeats, one for wait lists and one for requests
 * to stop. A task that has moved to a later time keeps its entry until the old time comes, so moving it is free.
 *
 * Tasks come and go with every lock. A `Map` from tasks to entries would leave a trail of tables,
 * each of which refers to the next: one that the garbage collector takes for old keeps all that
 * follow, and the locks in them, until its next full run.
 */
export class TimerHeap {
  readonly #clock: Clock;
  /** How many entries have a task. */
  #active = 0;
  #heap: TimerEntry[] = [];
  #timer: Timer | undefined;
  #timerAt = Infinity;
  /** When the timer should fire at the latest. */
  #firesAt = Infinity;
  /** By how many ms the timer that is running tasks now was late. */
  #late = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(task: Task): void {
    if (this.#heap.length > SPARE_ENTRIES + 4 * this.#active) this.#rebuild();
    this.#enter(task, task.due);
    this.#arm();
  }

  /** Moves a task after its `due` has become earlier. */
  update(task: Task): void {
    const { entry } = task;
    if (entry !== undefined && task.due < entry.at) this.add(task);
  }

  /** Removes a task; it does not run again. */
  remove(task: Task): void {
    this.#outdate(task);
    if (this.#active > 0) return;
    this.#heap = [];
    this.#arm();
  }

  /**
   * Milliseconds by which the timer is late, or was late when it fired: for that time at least the event loop was blocked, or
   * the machine was suspended.
   */
  lateBy(now: number): number {
    return Math.max(this.#late, now - this.#firesAt);
  }

  #rebuild(): void {
    const entries = this.#heap;
    this.#heap = [];
    for (const { task } of entries) if (task !== undefined) this.#enter(task, task.due);
  }

  #outdate(task: Task): void {
    const { entry } = task;
    if (entry === undefined) return;
    entry.task = undefined;
    task.entry = undefined;
    this.#active -= 1;
  }

  #enter(task: Task, at: number): void {
    this.#outdate(task);
    const entry = { task, at };
    task.entry = entry;
    this.#active += 1;
    this.#push(entry);
  }

  #run(): void {
    this.#timer = undefined;
    this.#timerAt = Infinity;
    const now = this.#clock.now();
    this.#late = Math.max(0, now - this.#firesAt);
    this.#firesAt = Infinity;
    for (let [next] = this.#heap; next !== undefined && next.at <= now; [next] = this.#heap) {
      this.#pop();
      const { task } = next;
      if (task === undefined) continue;
      if (task.due <= now) task.run(now);
      // Not again in this loop, even if it is due at once: the loop must end.
      if (task.entry === next) this.#enter(task, Math.max(task.due, now + 1));
    }
    this.#late = 0;
    this.#arm();
  }

  #arm(): void {
    const at = this.#heap[0]?.at ?? Infinity;
    if (this.#timer !== undefined && this.#timerAt <= at && at !== Infinity) return;
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#timerAt = at;
    this.#firesAt = Infinity;
    if (at === Infinity) return;
    const now = this.#clock.now();
    const wait = Math.min(at - now, LONGEST_SLEEP);
    this.#firesAt = now + Math.max(0, wait);
    this.#timer = this.#clock.timer(wait, () => this.#run());
  }

  #push(entry: TimerEntry): void {
    const heap = this.#heap;
    let hole = heap.push(entry) - 1;
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || above.at <= entry.at) break;
      heap[hole] = above;
      hole = parent;
    }
    heap[hole] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      const right = heap[child + 1];
      let below = heap[child];
      if (right !== undefined && below !== undefined && right.at < below.at) {
        child += 1;
        below = right;
      }
      if (below === undefined || below.at >= last.at) break;
      heap[hole] = below;
      hole = child;
    }
    heap[hole] = last;
  }
}
