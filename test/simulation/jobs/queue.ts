import type { Host } from "../host.ts";
import type { Timeline } from "../timeline.ts";

/** States of a job, by BullMQ's names. */
export type State = "waiting" | "prioritized" | "delayed" | "active" | "completed" | "failed";

/** What a producer says of a job. */
export interface NewJob {
  readonly id: string;
  readonly keys: readonly string[];
  readonly priority?: number;
  /** Attempts in all. */
  readonly attempts?: number;
  /** Milliseconds until a failed job is tried again. @defaultValue 0 */
  readonly backoff?: number;
  /** Within how many ms it must be done. */
  readonly within?: number;
  /** Milliseconds since 1970. @defaultValue now */
  readonly timestamp?: number;
}

/** Milliseconds after which a worker that waits for a job looks again at the latest. */
const LONGEST_BLOCK = 10_000;

/** A job as its queue knows it. */
export interface StoredJob {
  readonly id: string;
  keys: readonly string[];
  readonly timestamp: number;
  readonly attempts: number;
  readonly backoff: number;
  readonly within: number;
  priority: number;
  state: State;
  attemptsMade: number;
  attemptsStarted: number;
  stalledCounter: number;
  /** When it comes back by itself. */
  delayedUntil: number;
  /** Since when it has been in its state. */
  since: number;
  /** That of the last worker, also when it has expired; absent when a worker has moved the job. */
  lock: { token: string; until: number; host: Host } | undefined;
  result: unknown;
  /** What the library has written into it. */
  fields: Readonly<Record<string, string>>;
}

/** An error with BullMQ's code. */
export class QueueError extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`code ${code}`);
    this.code = code;
  }
}

/** One queue of BullMQ on its Redis: what its Lua does, in true time. */
export class JobQueue {
  readonly name: string;
  readonly server: string;
  readonly jobs = new Map<string, StoredJob>();
  /** Next first. */
  #wait: string[] = [];
  /** Next first, with scores. */
  readonly #prioritized = new Map<string, number>();
  readonly #timeline: Timeline;
  readonly #delayed = new Set<StoredJob>();
  readonly #stalling = new Set<string>();
  readonly #sleepers = new Set<() => void>();
  #counter = 0;
  paused = false;
  /** What the library keeps in the queue's Redis. */
  #id: string | undefined;
  #ids = 0;
  /** Completions of each job, and failures. */
  readonly ends: { id: string; how: "completed" | "failed"; at: number; after: number }[] = [];

  constructor(server: string, name: string, timeline: Timeline) {
    this.server = server;
    this.name = name;
    this.#timeline = timeline;
  }

  /** Keeps the id that is proposed, if there is none; a random one is replaced by one that the seed repeats. */
  keepId(proposed = ""): string {
    const made = (): string => `id-${this.server}-${this.name}-${(this.#ids += 1)}`;
    this.#id ??= proposed.startsWith("id-") ? proposed : made();
    return this.#id;
  }

  /** Loses the jobs that no worker has, and what the library keeps. */
  empty(): void {
    for (const { id, state } of this.jobs.values()) if (state !== "active") this.remove(id);
    this.#id = undefined;
  }

  /** Milliseconds since 1970, true. */
  get wall(): number {
    return this.#timeline.now + 1_700_000_000_000;
  }

  add({
    id,
    keys,
    priority = 0,
    attempts = 1,
    backoff = 0,
    within = Infinity,
    timestamp = this.wall,
  }: NewJob): StoredJob {
    const job: StoredJob = {
      id,
      keys,
      priority,
      attempts,
      backoff,
      within,
      timestamp,
      state: "waiting",
      attemptsMade: 0,
      attemptsStarted: 0,
      stalledCounter: 0,
      delayedUntil: 0,
      since: this.#timeline.now,
      lock: undefined,
      result: undefined,
      fields: {},
    };
    this.jobs.set(id, job);
    this.#enqueue(job, false);
    return job;
  }

  /** Changes the data of a job. */
  move(id: string, keys: readonly string[]): void {
    const job = this.jobs.get(id);
    if (job !== undefined) job.keys = keys;
  }

  remove(id: string): void {
    this.#takeOut(id);
    const job = this.jobs.get(id);
    if (job !== undefined) this.#delayed.delete(job);
    this.jobs.delete(id);
  }

  /** Gives the next job to a worker of that process, under the lock of `token`. */
  moveToActive(token: string, lockDuration: number, host: Host): StoredJob | undefined {
    this.#promoteDue();
    if (this.paused) return undefined;
    const [first] = this.#prioritized;
    const id = this.#wait.shift() ?? first?.[0];
    const job = id === undefined ? undefined : this.jobs.get(id);
    if (job === undefined) return undefined;
    this.#prioritized.delete(job.id);
    this.#enter(job, "active");
    job.lock = { token, until: this.wall + lockDuration, host };
    job.attemptsStarted += 1;
    return { ...job };
  }

  moveToDelayed(
    id: string,
    token: string,
    until: number,
    fields: Readonly<Record<string, string>> = {},
  ): void {
    const job = this.#owned(id, token);
    job.fields = { ...job.fields, ...fields };
    this.#delay(job, until);
  }

  extendLock(id: string, token: string, duration: number): number {
    const job = this.jobs.get(id);
    if (job?.lock?.token !== token || job.lock.until <= this.wall) return 0;
    job.lock.until = this.wall + duration;
    this.#stalling.delete(id);
    return 1;
  }

  promote(id: string): void {
    const job = this.jobs.get(id);
    if (job?.state !== "delayed") throw new QueueError(-3);
    this.#enqueue(job, false);
  }

  /** As the library promotes a job, to the front, also one that is behind others since its delay has ended. @returns false for one that is active, or the first. */
  wakeFirst(job: StoredJob): boolean {
    const waits = job.state === "delayed" || (this.#wait[0] !== job.id && this.#takeOut(job.id));
    if (waits) this.#enqueue(job, true);
    return waits;
  }

  /** The next jobs that wait for a worker, the first one last, as BullMQ's list has them. */
  next(most: number): string[] {
    return this.#wait.slice(0, most).reverse();
  }

  /** Parks a job that waits for a worker, as if one had taken it up. @returns false when it does not wait. */
  parkWaiting(job: StoredJob, until: number, fields: StoredJob["fields"]): boolean {
    if (job.priority > 0 || job.state !== "waiting" || !this.#takeOut(job.id)) return false;
    job.attemptsStarted = 1;
    job.fields = fields;
    this.#delay(job, until);
    return true;
  }

  /** Promotes all delayed jobs, as people do. */
  promoteAll(): void {
    for (const job of this.jobs.values()) if (job.state === "delayed") this.#enqueue(job, false);
  }

  changePriority(id: string, priority: number, lifo: boolean): void {
    const job = this.jobs.get(id);
    if (job === undefined) throw new QueueError(-1);
    job.priority = priority;
    if (this.#takeOut(id)) this.#enqueue(job, lifo);
  }

  /** The job has done its work, or failed. */
  finish(id: string, token: string, how: "completed" | "failed", result: unknown): void {
    const job = this.#owned(id, token);
    job.attemptsMade += 1;
    if (how === "failed" && job.attemptsMade < job.attempts) {
      if (job.backoff > 0) this.#delay(job, this.wall + job.backoff);
      else this.#enqueue(job, false);
      return;
    }
    job.result = result;
    this.#enter(job, how);
    const after = this.wall - job.timestamp;
    this.ends.push({ id, how, at: this.#timeline.now, after });
  }

  /** Finds jobs whose workers are gone: those that were active at the last check too, and have no lock now. */
  checkStalled(): void {
    for (const id of this.#stalling) {
      const job = this.jobs.get(id);
      if (job?.state !== "active" || (job.lock !== undefined && job.lock.until > this.wall))
        continue;
      job.stalledCounter += 1;
      // However often it stalled: a run kills more workers than a job would survive.
      this.#enter(job, "waiting");
      this.#wait.unshift(id);
      this.#wake();
    }
    this.#stalling.clear();
    for (const job of this.jobs.values()) if (job.state === "active") this.#stalling.add(job.id);
  }

  /** Calls `wake` once when there may be a job. */
  sleep(wake: () => void): void {
    const available = this.#wait.length > 0 || this.#prioritized.size > 0 || this.#isOneDue();
    if (available && !this.paused) wake();
    else this.#sleepers.add(wake);
  }

  resume(): void {
    this.paused = false;
    this.#wake();
  }

  /** The jobs that workers have. */
  get active(): string[] {
    return [...this.jobs.values()].flatMap(({ id, state }) => (state === "active" ? id : []));
  }

  get isDone(): boolean {
    return [...this.jobs.values()].every(
      ({ state }) => state === "completed" || state === "failed",
    );
  }

  #owned(id: string, token: string): StoredJob {
    const job = this.jobs.get(id);
    if (job === undefined) throw new QueueError(-1);
    if (job.lock === undefined || job.lock.until <= this.wall) throw new QueueError(-2);
    if (job.lock.token !== token) throw new QueueError(-6);
    if (job.state !== "active") throw new QueueError(-3);
    job.lock = undefined;
    return job;
  }

  /** Shortens the delay of a job, without a word to the workers that wait for a job. */
  hasten(job: StoredJob, until: number): void {
    if (job.state !== "delayed" || job.delayedUntil <= until) return;
    job.delayedUntil = until;
    this.#wakeWhenDue(job, until + LONGEST_BLOCK);
  }

  #delay(job: StoredJob, until: number): void {
    job.delayedUntil = until;
    this.#enter(job, "delayed");
    this.#wakeWhenDue(job, until);
  }

  #wakeWhenDue(job: StoredJob, at: number): void {
    this.#timeline.in(at - this.wall, () => {
      if (job.state === "delayed" && job.delayedUntil <= this.wall) this.#wake();
    });
  }

  #isOneDue(): boolean {
    for (const { delayedUntil } of this.#delayed) if (delayedUntil <= this.wall) return true;
    return false;
  }

  #promoteDue(): void {
    if (!this.#isOneDue()) return;
    for (const job of this.jobs.values()) {
      if (job.state === "delayed" && job.delayedUntil <= this.wall) this.#enqueue(job, false);
    }
  }

  #enqueue(job: StoredJob, lifo: boolean): void {
    if (job.priority === 0) {
      this.#enter(job, "waiting");
      if (lifo) this.#wait.unshift(job.id);
      else this.#wait.push(job.id);
    } else {
      this.#enter(job, "prioritized");
      this.#prioritized.set(job.id, job.priority * 2 ** 32 + (lifo ? 0 : (this.#counter += 1)));
      const ordered = [...this.#prioritized].sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1));
      this.#prioritized.clear();
      for (const [id, score] of ordered) this.#prioritized.set(id, score);
    }
    this.#wake();
  }

  #takeOut(id: string): boolean {
    const before = this.#wait.length;
    this.#wait = this.#wait.filter((other) => other !== id);
    return this.#prioritized.delete(id) || this.#wait.length < before;
  }

  #enter(job: StoredJob, state: State): void {
    job.state = state;
    if (state === "delayed") this.#delayed.add(job);
    else this.#delayed.delete(job);
    job.since = this.#timeline.now;
  }

  /** All idle workers ask again; a worker that finds no job stays idle. */
  #wake(): void {
    const sleepers = [...this.#sleepers];
    this.#sleepers.clear();
    for (const wake of sleepers) wake();
  }
}
