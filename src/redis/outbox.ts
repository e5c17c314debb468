import type { Clock, Timer } from "../clock.ts";
import { Batch } from "./batch.ts";
import type { BatchListener } from "./node-port.ts";
import type { AnyRequest } from "./operation.ts";

/** A batch that is not written yet. */
export interface Waiting {
  readonly batch: Batch;
  readonly listener: BatchListener;
  readonly askedAt: number;
}

/** Most releases that are kept for repetition; the oldest are dropped first. */
const MOST_RELEASES = 1_000;
/** Milliseconds after which a release is dropped: the keys have expired by then, or will soon. */
const LONGEST_RELEASE = 60_000;

/** What is still to be written to a master: batches, in the order in which they were asked, and releases to be repeated. */
export class Outbox {
  readonly #clock: Clock;
  #waiting: Waiting[] = [];
  #size = 0;
  #pendingReleases: { readonly request: AnyRequest; readonly until: number }[] = [];
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** How much work for the master waits, see `Request.size`. */
  get size(): number {
    return this.#size;
  }

  add(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#size += waiting.batch.size;
  }

  takeFirst(): Waiting | undefined {
    const first = this.#waiting.shift();
    this.#size -= first?.batch.size ?? 0;
    return first;
  }

  /** Takes out all batches, or only the ones asked at `time` or before. */
  takeUntil(time = Infinity): Waiting[] {
    const first = this.#waiting.findIndex(({ askedAt }) => askedAt > time);
    const taken = this.#waiting.splice(0, first === -1 ? this.#waiting.length : first);
    this.#size -= sizeOf(taken);
    return taken;
  }

  [Symbol.iterator](): IterableIterator<Waiting> {
    return this.#waiting.values();
  }

  /** Takes out the batches whose deadline has passed. */
  takeOverdue(deadlineOf: (waiting: Waiting) => number): Waiting[] {
    const now = this.#clock.now();
    const overdue = this.#waiting.filter((waiting) => deadlineOf(waiting) <= now);
    if (overdue.length > 0) {
      this.#waiting = this.#waiting.filter((waiting) => deadlineOf(waiting) > now);
      this.#size -= sizeOf(overdue);
    }
    return overdue;
  }

  /** Calls `run` at the first deadline; replaces the timer of an earlier call. */
  watch(deadlineOf: (waiting: Waiting) => number, run: () => void): void {
    this.unwatch();
    if (this.#waiting.length === 0) return;
    const at = this.#waiting.reduce((first, each) => Math.min(first, deadlineOf(each)), Infinity);
    this.#timer = this.#clock.timer(at - this.#clock.now(), run);
  }

  unwatch(): void {
    if (this.#timer === undefined) return;
    this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  /** Keeps those of the requests that may be repeated: the connection was lost before their answers. */
  keepReleases(requests: readonly AnyRequest[]): void {
    const until = this.#clock.now() + LONGEST_RELEASE;
    for (const request of requests) {
      if (!request.operation.repeatable) continue;
      this.#pendingReleases.push({ request, until });
      if (this.#pendingReleases.length > MOST_RELEASES) this.#pendingReleases.shift();
    }
  }

  /** Puts the kept releases before all batches, because they were started before. */
  repeatReleases(listener: BatchListener): void {
    const now = this.#clock.now();
    const due = this.#pendingReleases.filter(({ until }) => until > now);
    this.#pendingReleases = [];
    if (due.length === 0) return;
    const batch = new Batch(due.map(({ request }) => request));
    const askedAt = this.#waiting[0]?.askedAt ?? now;
    this.#waiting.unshift({ batch, listener, askedAt });
    this.#size += batch.size;
  }
}

function sizeOf(waiting: readonly Waiting[]): number {
  return waiting.reduce((sum, { batch }) => sum + batch.size, 0);
}
