import type { Clock, Timer } from "./clock.ts";

/** Something that wants to be called at a time, and may change its mind about when. */
export interface Task {
  /** Clock time of the next call. Call {@link TimerHeap.update} after making it earlier; later needs no word. */
  readonly due: number;
  /** Called at `due` or soon after; afterwards `due` is read again. Must not throw. */
  keep(now: number): void;
}

/** Entries without an appointment that are tolerated before the heap is built anew. */
const SPARE_ENTRIES = 256;

/** Timers stand still while a machine is suspended; after so many ms the clock is looked at again, in any case. */
const LONGEST_SLEEP = 1_000;

interface Entry {
  readonly appointment: Task;
  readonly at: number;
}

/**
 * All appointments of one client on one timer: a heap by time. An appointment that has moved to a later time stays
 * where it is until its old time comes; that makes moving it free.
 */
export class TimerHeap {
  readonly #clock: Clock;
  readonly #active = new Set<Task>();
  #heap: Entry[] = [];
  #timer: Timer | undefined;
  #timerAt = Infinity;
  /** When the timer is to fire, at the latest. */
  #firesAt = Infinity;
  /** By how many ms the timer was late that has fired now. */
  #late = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Enters an appointment. */
  add(appointment: Task): void {
    this.#active.add(appointment);
    this.update(appointment);
  }

  /** To be called when `due` has become earlier. */
  update(appointment: Task): void {
    if (!this.#active.has(appointment)) return;
    if (this.#heap.length > SPARE_ENTRIES + 4 * this.#active.size) this.#rebuild();
    this.#push({ appointment, at: appointment.due });
    this.#arm();
  }

  /** Takes an appointment off; it is not called any more. */
  remove(appointment: Task): void {
    this.#active.delete(appointment);
    if (this.#active.size > 0) return;
    this.#heap = [];
    this.#arm();
  }

  /**
   * By how many milliseconds the timer is late, or was when it fired now: for so long at least the event loop was blocked, or
   * the machine was suspended.
   */
  lateBy(now: number): number {
    return Math.max(this.#late, now - this.#firesAt);
  }

  /** Drops the entries of appointments that were taken off or have moved. */
  #rebuild(): void {
    this.#heap = [];
    for (const appointment of this.#active) this.#push({ appointment, at: appointment.due });
  }

  #run(): void {
    this.#timer = undefined;
    this.#timerAt = Infinity;
    const now = this.#clock.now();
    this.#late = Math.max(0, now - this.#firesAt);
    this.#firesAt = Infinity;
    for (let [next] = this.#heap; next !== undefined && next.at <= now; [next] = this.#heap) {
      this.#pop();
      const { appointment } = next;
      if (!this.#active.has(appointment)) continue;
      if (appointment.due <= now) appointment.keep(now);
      // Kept once a run, even if it wants to be kept again at once: the loop must end.
      if (this.#active.has(appointment)) {
        this.#push({ appointment, at: Math.max(appointment.due, now + 1) });
      }
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

  #push(entry: Entry): void {
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
