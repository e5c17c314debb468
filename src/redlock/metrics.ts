import type { Clock, Timer } from "../clock.ts";
import type { RedlockEvents, SafeEmitter } from "../events.ts";
import type { ParkedJobs } from "./parked-jobs.ts";
import { ofQueue, type Recorder, type RedlockTelemetry } from "./telemetry.ts";

type Meter = NonNullable<RedlockTelemetry["meter"]>;
type Counter = ReturnType<Meter["createCounter"]>;

/** Milliseconds between two records of the gauges, which change with time too. */
const GAUGE_INTERVAL = 10_000;

/** What gauges show. */
export interface Observed {
  readonly clock: Clock;
  readonly parked: ParkedJobs;
  /** How many masters are known to vote. */
  voting(): number;
}

/** Metrics of a `Redlock`, from its events. Attributes never contain a key: there may be millions. */
export class Metrics {
  readonly #events: SafeEmitter;
  readonly #observed: Observed;
  readonly #acquisitions: Counter;
  readonly #acquireDuration: Recorder;
  readonly #nodeDuration: Recorder;
  /** How many locks the jobs of each queue hold; those of no job under `undefined`. */
  readonly #held = new Map<string | undefined, number>();
  /** The queues for which a number of parked jobs has been recorded. */
  readonly #queues = new Set<string>();
  readonly #safely: (observe: () => unknown) => void;
  #timer: Timer | undefined;
  #closed = false;

  /** @param safely runs what may throw. */
  constructor(
    meter: Meter,
    events: SafeEmitter,
    observed: Observed,
    safely: (observe: () => unknown) => void,
  ) {
    this.#events = events;
    this.#observed = observed;
    this.#safely = safely;
    const count = (name: string, description: string) =>
      meter.createCounter(`bullmq.redlock.${name}`, { description, unit: "1" });
    const time = (name: string, description: string) =>
      meter.createHistogram(`bullmq.redlock.${name}`, { description, unit: "ms" });
    this.#acquisitions = count("acquisitions", "Ended attempts to acquire locks");
    this.#acquireDuration = time(
      "acquire.duration",
      "How long it took to acquire locks, waiting included",
    );
    const lost = count("lost", "Locks that were lost before they were released");
    const extensions = count("extensions", "Extends that moved the deadline of a lock");
    const parked = count("parked", "Jobs that were parked");
    const woken = count("woken", "Parked jobs that were woken because a key was reserved for them");
    const skipped = count("skipped", "Jobs that completed without having run");
    const wait = time("wait.duration", "From the first refusal of a lock to its grant");
    const held = time("hold.duration", "How long locks were held");
    this.#nodeDuration = time("node.duration", "How long a lock master took to answer");
    this.#on("extended", () => extensions.add(1));
    this.#on("lost", ({ error, queue }) =>
      lost.add(1, { reason: error.reason, ...ofQueue(queue) }),
    );
    this.#on("parked", ({ reason, queue }) => parked.add(1, { reason, ...ofQueue(queue) }));
    this.#on("woken", ({ queue }) => woken.add(1, ofQueue(queue)));
    this.#on("skipped", ({ reason, queue }) => skipped.add(1, { reason, ...ofQueue(queue) }));
    this.#on("acquired", ({ waited, refused, queue }) => {
      if (refused) wait.record(waited, ofQueue(queue));
    });
    this.#on("released", ({ held: ms, outcome, queue }) =>
      held.record(ms, { outcome, ...ofQueue(queue) }),
    );
    this.#observe(meter);
  }

  /** Counts and times an acquisition, which has ended after so many ms. */
  ended(outcome: string, queue: string | undefined, ms: number): void {
    const attributes = { outcome, ...ofQueue(queue) };
    this.#safely(() => this.#acquisitions.add(1, attributes));
    this.#safely(() => this.#acquireDuration.record(ms, attributes));
  }

  /** Records the time that a master took to answer, in ms. */
  answered(node: string, ms: number): void {
    this.#safely(() => this.#nodeDuration.record(ms, { "bullmq.redlock.node": node }));
  }

  /** Ends the timer of the gauges. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#observed.clock.clearTimer(this.#timer);
  }

  /** Records gauges when they change, and every {@link GAUGE_INTERVAL}. */
  #observe(meter: Meter): void {
    if (meter.createGauge === undefined) return;
    // Units in braces do not appear in the names that Prometheus uses; "1" would make a gauge a ratio.
    const gauge = (name: string, unit: string, description: string) =>
      meter.createGauge?.(`bullmq.redlock.${name}`, { description, unit });
    const held = gauge("held", "{lock}", "Locks that are held");
    const parked = gauge(
      "parked.jobs",
      "{job}",
      "Jobs that this process has parked and not seen come back",
    );
    const voting = gauge("nodes.voting", "{node}", "Lock masters that are known to vote");
    const values = (): unknown[] => {
      const jobs = this.#observed.parked.byQueue();
      for (const queue of jobs.keys()) this.#queues.add(queue);
      return [
        ...Array.from(this.#held, ([queue, locks]) => held?.record(locks, ofQueue(queue))),
        ...Array.from(this.#queues, (queue) =>
          parked?.record(jobs.get(queue) ?? 0, ofQueue(queue)),
        ),
        voting?.record(this.#observed.voting()),
      ];
    };
    const record = (): void => {
      // A failure of any is one failure.
      this.#safely(() => {
        const pending = values().filter((value) => value instanceof Promise);
        return pending.length === 0 ? undefined : Promise.all(pending);
      });
      this.#schedule(record);
    };
    const add = (queue: string | undefined, locks: number): void => {
      this.#held.set(queue, (this.#held.get(queue) ?? 0) + locks);
      record();
    };
    /** Locks that are lost, and not released yet. */
    const lost = new Set<number>();
    this.#on("acquired", ({ queue }) => add(queue, 1));
    this.#on("lost", ({ keys, fencingToken, queue }) => {
      // A job may lose BullMQ's lock and this one, and BullMQ's without having this one.
      if (keys.length === 0 || lost.has(fencingToken)) return;
      lost.add(fencingToken);
      add(queue, -1);
    });
    this.#on("released", ({ fencingToken, queue }) => {
      if (!lost.delete(fencingToken)) add(queue, -1);
    });
    for (const event of ["parked", "woken", "node:up", "node:down", "node:quarantined"] as const) {
      this.#on(event, record);
    }
  }

  /** Listens. What an instrument throws is a failure of the telemetry, not of a listener. */
  #on<K extends keyof RedlockEvents>(
    event: K,
    observe: (data: RedlockEvents[K][0]) => unknown,
  ): void {
    this.#events.on(event, (...[data]) => this.#safely(() => observe(data)));
  }

  #schedule(record: () => void): void {
    if (this.#closed) return;
    const { clock } = this.#observed;
    this.#timer ??= clock.timer(GAUGE_INTERVAL, () => {
      this.#timer = undefined;
      record();
    });
  }
}
