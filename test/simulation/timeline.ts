/** True time, which no client and no master can see: events in order, and nothing else moves it. */
export class Timeline {
  #now = 0;
  #order = 0;
  #halted = false;
  readonly #heap: Event[] = [];

  get now(): number {
    return this.#now;
  }

  /** Calls `run` in `ms` of true time. */
  in(ms: number, run: () => void): Event {
    const event: Event = { at: this.#now + Math.max(0, ms), order: this.#order++, run };
    this.#push(event);
    return event;
  }

  /** Takes an event off. */
  cancel(event: Event): void {
    event.run = undefined;
  }

  /** Nothing happens any more; time goes on. */
  halt(): void {
    this.#halted = true;
  }

  /** Runs events until `end`; between any two of them all promise jobs that can run. */
  async runUntil(end: number): Promise<void> {
    await settlePromises(0);
    for (let [next] = this.#heap; next !== undefined && next.at <= end; [next] = this.#heap) {
      if (this.#halted) break;
      this.#pop();
      if (next.run === undefined) continue;
      this.#now = next.at;
      next.run();
      await settlePromises(next.order);
    }
    this.#now = end;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let hole = heap.push(event) - 1;
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      const above = heap[parent]!;
      if (!before(event, above)) break;
      heap[hole] = above;
      hole = parent;
    }
    heap[hole] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (!before(heap[child]!, last)) break;
      heap[hole] = heap[child]!;
      hole = child;
    }
    heap[hole] = last;
  }
}

/** Something that will happen. */
export interface Event {
  readonly at: number;
  readonly order: number;
  run: (() => void) | undefined;
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Every so many events the event loop goes round, which costs much more: unhandled rejections are reported then. */
const ROUND = 16;

/** Resolves when no promise job is left: what is asked for in one of them at the next tick comes when all have run. */
function settlePromises(event: number): Promise<void> {
  return new Promise((resolve) => {
    if (event % ROUND === 0) setImmediate(resolve);
    else process.nextTick(resolve);
  });
}
