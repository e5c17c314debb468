import type { Lock } from "../../../src/lock/lock.ts";
import { keyOfSlot, numberOfSlot, slotNames } from "../../../src/lock/slots.ts";
import { namesUnder } from "../../../src/lock/stored-lock.ts";
import type { Host } from "../host.ts";
import type { Server } from "../network.ts";
import type { Timeline } from "../timeline.ts";
import type { JobQueue, StoredJob } from "./queue.ts";
import { type JobScenario, limitOf } from "./scenarios.ts";

/** What a run may not show. */
export type JobViolation =
  /** Two jobs worked under the same key at the same time. */
  | "overlap"
  /** A job has a slot that its limit does not allow. */
  | "beyond the limit"
  /** A job did its work twice, and nothing had happened to its first worker. */
  | "twice"
  /** A job was not done in the end. */
  | "unfinished"
  /** A job stayed parked although its keys were free. */
  | "left waiting"
  /** A job met a conflict on a key that is its own. */
  | "false conflict"
  | "too many activations"
  /** A job on a free key, or a job with several keys, waited for too long. */
  | "starved"
  /** A job got its key before another that was ahead of it in the wait list or, in strict order, that a worker had taken up. */
  | "order"
  /** A job got its key between an attempt that failed, or was killed, and the next attempt of the same job. */
  | "overtaken"
  /** Under a policy by which the newest job wins, the last one to succeed was not the newest of those that have. */
  | "stale"
  /** A job has another priority, or used another number of attempts, than it should. */
  | "changed"
  /** The masters still know waiters when no job waits. */
  | "leftover"
  /** A worker took long to close. */
  | "slow close"
  /** Masters are still asked when no job waits. */
  | "chatter";

interface Run {
  readonly queue: JobQueue;
  readonly id: string;
  readonly host: Host;
  readonly lock: Lock;
  /** When it began. */
  readonly at: number;
}

const NAMES = namesUnder("redlock:");
/** Milliseconds between two checks of the parked jobs. */
const TICK = 20;
/** Milliseconds within which a free key is found by a process that has taken up a job of the waiter's queue. */
const SERVED_BOUND = 3_000;
/** By then, in ms after its first job, a process receives the messages for the jobs of processes that are gone. */
const SETTLING = 2_000;
/** Milliseconds within which joining a wait list may still be under way. */
const JOINING = 20;
/** Milliseconds until a key is kept for a job that has begun: its first extend is under way. A lost one is repeated by the heartbeat. */
const EXTENDING = { usually: 10, lost: 700 };

/** Sees everything, at the true time. */
export class JobOracle {
  readonly violations = new Map<JobViolation, number>();
  readonly examples: string[] = [];
  /**
   * The longest time that a job was parked with its keys free: while its parker lived; while another process lived that had
   * taken up a job of its queue; and otherwise.
   */
  longestWait = { attended: 0, served: 0, unattended: 0 };
  runs = 0;
  readonly #timeline: Timeline;
  readonly #scenario: JobScenario;
  readonly #until: JobViolation | undefined;
  readonly #running = new Map<string, Set<Run>>();
  readonly #done = new Map<string, Host>();
  readonly #begun = new Set<string>();
  /** For each key the jobs that have succeeded, the last one last. */
  readonly #succeeded = new Map<string, Run[]>();
  /** For each key the run that failed, and whose job runs again. */
  readonly #failed = new Map<string, Run>();
  /** For each key the last run that has ended its work. */
  readonly #ended = new Map<string, Run>();
  readonly #parkers = new Map<string, { host: Host; at: number; queueId: string }>();
  /** For each queue the processes that have taken up a job of it, and since when. */
  readonly #servers = new Map<JobQueue, Map<Host, number>>();
  /** Since when each parked job has had a free slot of each of its keys. */
  readonly #freeSince = new Map<StoredJob, number>();
  /** For each job the slots of each of its keys. */
  readonly #slots = new Map<StoredJob, readonly (readonly string[])[]>();
  readonly #released = new Map<string, number>();
  /** The keys, or slots, under which a job has worked. */
  readonly #granted = new Set<string>();
  /** Since when each slot has been free without a break. */
  readonly #slotFreeSince = new Map<string, number>();
  #forgiven = false;
  #over = false;

  /** @param until the violation at which the run ends, if any. */
  constructor(timeline: Timeline, scenario: JobScenario, until?: JobViolation) {
    this.#timeline = timeline;
    this.#scenario = scenario;
    this.#until = until;
  }

  /** A process begins to work on a job. */
  began(queue: JobQueue, id: string, keys: readonly string[], lock: Lock, host: Host): Run {
    const run = { queue, id, host, lock, at: this.#timeline.now };
    this.runs += 1;
    this.#begun.add(nameOf(queue, id));
    for (const key of keys) {
      this.#granted.add(key);
      // Between two checks it may have been taken and released.
      this.#slotFreeSince.set(key, this.#timeline.now);
      if (numberOfSlot(key) >= limitOf(this.#scenario, id, run.at))
        this.report("beyond the limit", key);
      const others = this.#running.get(key) ?? new Set();
      const kept = this.#keptFor(key);
      if (kept !== undefined && nameOf(kept.queue, kept.id) !== nameOf(queue, id)) {
        this.report("overtaken", `${key}: ${id} before the next attempt of ${kept.id}`);
      }
      this.#failed.delete(key);
      for (const other of others) {
        if (other.host.dead) others.delete(other);
        else if (other.lock.held) this.report("overlap", `${key}: ${other.id} and ${id}`);
      }
      this.#running.set(key, others.add(run));
      if (this.#scenario.ordered === true) this.#checkOrder(queue, id, key);
      if (this.#scenario.ordered === "strictly") this.#checkStrictOrder(queue, id, key);
    }
    return run;
  }

  /** It is about to release the keys. */
  ended(run: Run, keys: readonly string[], completed: boolean): void {
    for (const key of keys) {
      this.#running.get(key)?.delete(run);
      this.#released.set(key, this.#timeline.now);
    }
    const wanted = run.queue.jobs.get(run.id)?.keys ?? [];
    for (const key of keys) {
      if (completed) this.#ended.set(key, run);
      // With other data, its next attempt may ask for another key.
      else if (wanted.includes(keyOfSlot(key))) this.#failed.set(key, run);
    }
    if (!completed || !run.lock.held) return;
    for (const key of keys) {
      const before = this.#succeeded.get(key) ?? [];
      this.#succeeded.set(key, [...before.filter(({ id }) => id !== run.id), run]);
    }
    const name = nameOf(run.queue, run.id);
    const first = this.#done.get(name);
    this.#done.set(name, run.host);
    // BullMQ gives the job of a worker that slept to another one.
    if (first?.naps === 0 && run.host.naps === 0) this.report("twice", name);
  }

  /** A process died: what was done before may have to be done again, and a job may meet what is left of its own run. */
  forgive(): void {
    this.#done.clear();
    this.#forgiven = true;
  }

  /** Somebody gives a job another key: the one that was kept for it is free for others. */
  moved(queue: JobQueue, id: string): void {
    for (const [key, run] of this.#failed) {
      if (run.queue === queue && run.id === id) this.#failed.delete(key);
    }
  }

  /** A process takes up a job. */
  activated(queue: JobQueue, host: Host): void {
    const servers = this.#servers.get(queue) ?? new Map<Host, number>();
    if (!servers.has(host)) servers.set(host, this.#timeline.now);
    this.#servers.set(queue, servers);
  }

  parked(queue: JobQueue, id: string, host: Host): void {
    const at = this.#timeline.now;
    this.#parkers.set(nameOf(queue, id), { host, at, queueId: queue.name });
  }

  conflict(keys: readonly string[]): void {
    for (const key of this.#forgiven ? [] : keys) {
      if (key.startsWith("own") && !this.#granted.has(key)) this.report("false conflict", key);
    }
  }

  /** Checks, from now on, whether a parked job waits for keys that are free. */
  watch(
    servers: readonly Server[],
    queues: readonly JobQueue[],
    served: (q: JobQueue) => boolean,
  ): void {
    const known = new Map<string, boolean>();
    const free = (key: string): boolean => {
      const answer = known.get(key) ?? (isFree(servers, key) && !this.#mayBeKept(key));
      known.set(key, answer);
      if (!answer) this.#slotFreeSince.delete(key);
      else if (!this.#slotFreeSince.has(key)) this.#slotFreeSince.set(key, this.#timeline.now);
      return answer;
    };
    const hasFree = (slots: readonly string[]): boolean => slots.filter(free).length > 0;
    for (const queue of queues) {
      const serves = served(queue) && !queue.paused;
      const servedSince = this.#servedSince(queue);
      for (const job of queue.jobs.values()) {
        if (serves && job.state === "delayed" && this.#slotsOf(job).every(hasFree))
          this.#checkParked(queue, job, servedSince);
        else this.#freeSince.delete(job);
      }
    }
    this.#timeline.in(TICK, () => {
      if (!this.#over) this.watch(servers, queues, served);
    });
  }

  /** Stops watching. */
  stop(): void {
    this.#over = true;
  }

  /** Everything should be done; jobs on free keys are parked once at most, but for races at the beginning. */
  checkEnd(servers: readonly Server[], queues: readonly JobQueue[], keys: readonly string[]): void {
    const { activations, jobs, policy, limits = [1], raised } = this.#scenario;
    const priorities = new Set(jobs.flatMap((plan) => plan.priorities ?? [0]));
    let [started, made] = [0, 0];
    const failing = jobs.some((plan) => plan.failing !== undefined);
    for (const queue of queues) {
      for (const job of queue.jobs.values()) {
        const name = nameOf(queue, job.id);
        const after = queue.ends.find(({ id }) => id === job.id)?.after ?? Infinity;
        if (job.within < Infinity && after > job.within) {
          this.report("starved", `${name}: ${after.toFixed(0)} ms`);
        }
        if (
          job.state !== "completed" &&
          (policy !== "cancelInProgress" || job.state !== "failed")
        ) {
          this.report("unfinished", `${name} is ${job.state}`);
        }
        started += job.attemptsStarted;
        made += job.attemptsMade;
        if (!priorities.has(job.priority) || (!failing && job.attemptsMade !== 1)) {
          this.report("changed", `${name}: ${job.priority}, ${job.attemptsMade}`);
        }
      }
    }
    const isNewestLast = policy === "keepLatest" || policy === "cancelInProgress";
    // Of several holders the newest may be the first to end.
    if (isNewestLast && limits.every((limit) => limit === 1)) this.#checkNewest();
    if (activations !== undefined && started > activations * made) {
      this.report("too many activations", `${started} for ${made} attempts`);
    }
    for (const { name, master } of servers) {
      for (const key of [...keys].flatMap((key) =>
        slotNames(key, Math.max(...limits, raised?.limit ?? 1)),
      )) {
        for (const stored of [NAMES.waiters(key), NAMES.waiter(key), NAMES.reservation(key)]) {
          const value = master.get(stored);
          if (value !== undefined) this.report("leftover", `${stored} on ${name}: ${value}`);
        }
      }
    }
  }

  report(violation: JobViolation, record: string): void {
    if (violation === this.#until) this.#timeline.halt();
    this.violations.set(violation, (this.violations.get(violation) ?? 0) + 1);
    if (this.examples.length < 5) {
      this.examples.push(`${violation} at ${this.#timeline.now.toFixed(1)}: ${record}`);
    }
  }

  /** A parked job whose keys are free, in a queue that is served. */
  #checkParked(queue: JobQueue, job: StoredJob, servedSince: number | undefined): void {
    const name = nameOf(queue, job.id);
    const { now } = this.#timeline;
    const parked = this.#freeSince.get(job) ?? now;
    this.#freeSince.set(job, parked);
    const free = this.#slotsOf(job).map((slots) =>
      Math.min(now, ...slots.map((slot) => this.#slotFreeSince.get(slot) ?? now)),
    );
    const since = Math.max(parked, ...free);
    const { probeBound, settledBound, options } = this.#scenario;
    const { host } = this.#parkers.get(name) ?? {};
    if (host !== undefined && isAwake(host)) this.#judge("attended", name, since, probeBound);
    else if (servedSince !== undefined) {
      const bound = settledBound ?? Math.max(probeBound, SERVED_BOUND);
      const settled = servedSince + (settledBound === undefined ? 0 : SETTLING);
      this.#judge("served", name, Math.max(since, settled), bound);
    }
    this.#judge("unattended", name, since, 1.5 * (options.ttl ?? 0) + probeBound);
  }

  #slotsOf(job: StoredJob): readonly (readonly string[])[] {
    let slots = this.#slots.get(job);
    const limit = limitOf(this.#scenario, job.id, this.#timeline.now);
    if (slots?.[0]?.length !== limit || slots.some(([key], i) => key !== job.keys[i])) {
      slots = job.keys.map((key) => slotNames(key, limit));
      this.#slots.set(job, slots);
    }
    return slots;
  }

  #judge(kind: keyof JobOracle["longestWait"], name: string, since: number, bound: number): void {
    const waited = this.#timeline.now - since;
    this.longestWait[kind] = Math.max(this.longestWait[kind], waited);
    if (waited > bound && waited - TICK <= bound) {
      this.report("left waiting", `${name}, ${kind}, free since ${since.toFixed(0)}`);
    }
  }

  /** The run whose job must be the next to get a key. */
  #keptFor(key: string): Run | undefined {
    const { loss, partition } = this.#scenario.faults;
    const extending = loss > 0 || partition < Infinity ? EXTENDING.lost : EXTENDING.usually;
    const killed = this.#killed(key).filter(({ host, at }) => host.diedAt > at + extending);
    return this.#firstUndone([this.#failed.get(key), ...killed]);
  }

  /** Also for a process that died when it had just begun, or before the key was released and the queue had the result. */
  #mayBeKept(key: string): boolean {
    const ended = this.#ended.get(key);
    const unreported = ended?.host.dead === true ? ended : undefined;
    return (
      this.#firstUndone([this.#failed.get(key), unreported, ...this.#killed(key)]) !== undefined
    );
  }

  #killed(key: string): Run[] {
    return [...(this.#running.get(key) ?? [])].filter(({ host }) => host.dead);
  }

  /** The first of them whose job runs again, if that keeps its keys. */
  #firstUndone(runs: readonly (Run | undefined)[]): Run | undefined {
    if (this.#scenario.policies?.retryOrder !== "keep") return undefined;
    return runs.find((run) => {
      const state = run?.queue.jobs.get(run.id)?.state ?? "failed";
      return state !== "failed" && state !== "completed";
    });
  }

  /** Since when a live process has looked after the keys of a queue without a break. */
  #servedSince(queue: JobQueue): number | undefined {
    const servers = [...(this.#servers.get(queue) ?? [])].filter(([host]) => isAwake(host));
    return servers.length === 0 ? undefined : Math.min(...servers.map(([, since]) => since));
  }

  /**
   * All jobs before this one that workers have taken up have begun, whether they are active, parked or woken by now. The jobs of
   * dead workers may be overtaken until a worker takes them up again.
   */
  #checkStrictOrder(queue: JobQueue, id: string, key: string): void {
    const job = queue.jobs.get(id);
    for (const other of queue.jobs.values()) {
      const isOver = other.state === "completed" || other.state === "failed";
      const isTakenUp = other.attemptsStarted > 0 && !isOver && other.lock?.host.dead !== true;
      if (job === undefined || !isTakenUp || !other.keys.includes(key)) continue;
      if (this.#begun.has(nameOf(queue, other.id))) continue;
      if (isBefore(other, job)) this.report("order", `${id} before ${other.id}`);
    }
  }

  #checkNewest(): void {
    for (const [key, runs] of this.#succeeded) {
      const last = runs.at(-1)!;
      const newer = runs.find((run) => isOlder(last, run));
      if (newer !== undefined) this.report("stale", `${key}: ${last.id} after ${newer.id}`);
    }
  }

  #checkOrder(queue: JobQueue, id: string, key: string): void {
    const job = queue.jobs.get(id);
    const released = this.#released.get(key) ?? 0;
    for (const other of queue.jobs.values()) {
      if (job === undefined || other.state !== "delayed" || !other.keys.includes(key)) continue;
      const parkedAt = this.#parkers.get(nameOf(queue, other.id))?.at ?? Infinity;
      if (parkedAt < released - JOINING && isBefore(other, job)) {
        this.report("order", `${id} before ${other.id}`);
      }
    }
  }
}

function isAwake(host: Host): boolean {
  return !host.dead && host.naps === 0;
}

function nameOf(queue: JobQueue, id: string): string {
  return `${queue.name}:${id}`;
}

/** Of two that were added at once in different queues neither is older. */
function isOlder(a: Run, b: Run): boolean {
  const [first, second] = [a.queue.jobs.get(a.id), b.queue.jobs.get(b.id)];
  if (first === undefined || second === undefined) return false;
  if (first.timestamp !== second.timestamp) return first.timestamp < second.timestamp;
  return a.queue === b.queue && Number(a.id) < Number(b.id);
}

function isBefore(a: StoredJob, b: StoredJob): boolean {
  return a.priority - b.priority || a.timestamp - b.timestamp || Number(a.id) - Number(b.id)
    ? (a.priority - b.priority || a.timestamp - b.timestamp || Number(a.id) - Number(b.id)) < 0
    : false;
}

function isFree(servers: readonly Server[], key: string): boolean {
  const free = servers.filter(
    ({ up, frozen, master }) => up && !frozen && master.get(NAMES.lock(key)) === undefined,
  );
  return free.length > servers.length / 2;
}
