import { LockConfigError, LockConflictError, LockUnavailableError } from "../errors.ts";
import type { Clock, Timer } from "../clock.ts";
import type { SafeEmitter } from "../events.ts";
import type { Lock } from "../lock/lock.ts";
import type { ParkedJobs } from "./parked-jobs.ts";
import { describeValue } from "../sentences.ts";

type Attributes = Record<string, string | number | boolean | string[] | undefined>;

interface Span {
  setAttributes(attributes: Attributes): void;
  recordException(exception: { name: string; message: string }): void;
  end(): void;
}

interface Instrument {
  description: string;
  unit: string;
}

/**
 * What we use of BullMQ's `Telemetry` interface: give `Redlock` the object that your queues and workers have, such as
 * `new BullMQOtel({ ... })`.
 * @see https://docs.bullmq.io/guide/telemetry
 */
export interface RedlockTelemetry {
  tracer: { startSpan(name: string, options: { kind: number }, context: unknown): Span };
  contextManager: { active(): unknown };
  meter?: {
    createCounter(
      name: string,
      options: Instrument,
    ): { add(value: number, attributes?: Attributes): void };
    createHistogram(name: string, options: Instrument): Recorder;
    /** Absent from older objects of BullMQ 5: there are no gauges then. */
    createGauge?(name: string, options: Instrument): Recorder;
  };
}

interface Recorder {
  record(value: number, attributes?: Attributes): void;
}

/** OpenTelemetry's number for a span that is no request to another service. */
const SPAN_KIND_INTERNAL = 0;

/** Milliseconds between two records of the gauges, which change with time too. */
const GAUGE_INTERVAL = 10_000;

/** What an {@link Observer} looks at for its gauges. */
export interface Observed {
  readonly clock: Clock;
  readonly parked: ParkedJobs;
  /** How many masters are known to vote. */
  voting(): number;
}

/** Observes a `Redlock`. Attributes of metrics never hold a key: there may be millions. */
export class Observer {
  readonly #telemetry: RedlockTelemetry;
  readonly #events: SafeEmitter;
  readonly #observed: Observed;
  /** How many locks the jobs of each queue hold; those of no job under `undefined`. */
  readonly #held = new Map<string | undefined, number>();
  /** The queues whose gauge of parked jobs has been recorded. */
  readonly #delayRequest = new Set<string>();
  #nodeDuration: Recorder | undefined;
  #timer: Timer | undefined;
  #closed = false;

  constructor(telemetry: RedlockTelemetry, events: SafeEmitter, observed: Observed) {
    this.#telemetry = telemetry;
    this.#events = events;
    this.#observed = observed;
    this.#safely(() => this.#measure());
  }

  /** A master has answered after `ms`. */
  answered(node: string, ms: number): void {
    if (this.#nodeDuration === undefined) return;
    this.#safely(() => this.#nodeDuration?.record(ms, { "bullmq.redlock.node": node }));
  }

  /** Records nothing any more by itself. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#observed.clock.clearTimer(this.#timer);
  }

  /** Surrounds one acquisition with a span, and counts and times its outcome. */
  async acquiring<T extends Lock>(
    keys: readonly string[],
    queue: string | undefined,
    now: () => number,
    acquisition: () => Promise<T>,
  ): Promise<T> {
    const { tracer, contextManager } = this.#telemetry;
    const startedAt = now();
    const span = this.#safely(() =>
      tracer.startSpan("acquire-lock", { kind: SPAN_KIND_INTERNAL }, contextManager.active()),
    );
    const attributes = { "bullmq.redlock.keys": [...keys], ...ofQueue(queue) };
    this.#safely(() => span?.setAttributes(attributes));
    try {
      const lock = await acquisition();
      this.#ended(span, queue, "acquired", now() - startedAt, {
        "bullmq.redlock.fencing_token": lock.fencingToken,
      });
      return lock;
    } catch (error) {
      if (error instanceof Error && !(error instanceof LockConflictError)) {
        const { name, message } = error;
        this.#safely(() => span?.recordException({ name, message }));
      }
      this.#ended(span, queue, outcomeOf(error), now() - startedAt, {});
      throw error;
    }
  }

  #measure(): void {
    const { meter } = this.#telemetry;
    if (meter === undefined) return;
    const events = this.#events;
    const count = (name: string, description: string) =>
      meter.createCounter(`bullmq.redlock.${name}`, { description, unit: "1" });
    const time = (name: string, description: string) =>
      meter.createHistogram(`bullmq.redlock.${name}`, { description, unit: "ms" });
    const lost = count("lost", "Locks that were lost before they were released");
    const extensions = count("extensions", "Extends that moved the deadline of a lock");
    const parked = count("parked", "Jobs that were parked");
    const woken = count("woken", "Parked jobs that were brought back because it was their turn");
    const skipped = count("skipped", "Jobs that completed without having run");
    const wait = time("wait.duration", "From the first refusal of a lock to its grant");
    const held = time("hold.duration", "How long locks were held");
    this.#nodeDuration = time("node.duration", "How long a lock master took to answer");
    events.on("extended", () => extensions.add(1));
    events.on("lost", ({ error, queue }) =>
      lost.add(1, { reason: error.reason, ...ofQueue(queue) }),
    );
    events.on("parked", ({ reason, queue }) => parked.add(1, { reason, ...ofQueue(queue) }));
    events.on("woken", ({ queue }) => woken.add(1, ofQueue(queue)));
    events.on("skipped", ({ reason, queue }) => skipped.add(1, { reason, ...ofQueue(queue) }));
    events.on("acquired", ({ waited, refused, queue }) => {
      if (refused) wait.record(waited, ofQueue(queue));
    });
    events.on("released", ({ held: ms, outcome, queue }) =>
      held.record(ms, { outcome, ...ofQueue(queue) }),
    );
    this.#gauge(meter);
  }

  #gauge(meter: NonNullable<RedlockTelemetry["meter"]>): void {
    if (meter.createGauge === undefined) return;
    // Units in braces are left out of the names that Prometheus gives; "1" would make a gauge a ratio.
    const gauge = (name: string, unit: string, description: string) =>
      meter.createGauge?.(`bullmq.redlock.${name}`, { description, unit });
    const held = gauge("held", "{lock}", "Locks that are held");
    const parked = gauge(
      "parked.jobs",
      "{job}",
      "Jobs that this process has parked and not seen come back",
    );
    const voting = gauge("nodes.voting", "{node}", "Lock masters that are known to vote");
    const record = (): void => {
      for (const [queue, locks] of this.#held) held?.record(locks, ofQueue(queue));
      const jobs = this.#observed.parked.byQueue();
      for (const queue of jobs.keys()) this.#delayRequest.add(queue);
      for (const queue of this.#delayRequest) parked?.record(jobs.get(queue) ?? 0, ofQueue(queue));
      voting?.record(this.#observed.voting());
      this.#schedule(record);
    };
    const add = (queue: string | undefined, locks: number): void => {
      this.#held.set(queue, (this.#held.get(queue) ?? 0) + locks);
      record();
    };
    const events = this.#events;
    events.on("acquired", ({ queue }) => add(queue, 1));
    events.on("released", ({ queue }) => add(queue, -1));
    events.on("parked", record);
    events.on("woken", record);
    events.on("node:up", record);
    events.on("node:down", record);
    events.on("node:quarantined", record);
  }

  #schedule(record: () => void): void {
    if (this.#closed) return;
    const { clock } = this.#observed;
    this.#timer ??= clock.timer(GAUGE_INTERVAL, () => {
      this.#timer = undefined;
      this.#safely(record);
    });
  }

  #ended(
    span: Span | undefined,
    queue: string | undefined,
    outcome: string,
    ms: number,
    attributes: Attributes,
  ): void {
    this.#safely(() => {
      span?.setAttributes({ "bullmq.redlock.outcome": outcome, ...attributes });
      span?.end();
    });
    const { meter } = this.#telemetry;
    // Meters keep their instruments by name: to create one again is to find it.
    this.#safely(() => {
      meter
        ?.createCounter("bullmq.redlock.acquisitions", {
          description: "Ended attempts to acquire locks",
          unit: "1",
        })
        .add(1, { outcome, ...ofQueue(queue) });
      meter
        ?.createHistogram("bullmq.redlock.acquire.duration", {
          description: "How long it took to acquire locks, waiting included",
          unit: "ms",
        })
        .record(ms, { outcome, ...ofQueue(queue) });
    });
  }

  #safely<T>(observe: () => T): T | undefined {
    try {
      return observe();
    } catch (cause) {
      this.#events.emit("warning", { code: "telemetry-failed", message: "telemetry threw", cause });
      return undefined;
    }
  }
}

/** As BullMQ names the queue in its own metrics. */
function ofQueue(queue: string | undefined): Attributes {
  return queue === undefined ? {} : { "bullmq.queue.name": queue };
}

/** Checks the `telemetry` option. */
export function checkTelemetry(path: string, telemetry: unknown): RedlockTelemetry | undefined {
  if (telemetry === undefined) return undefined;
  const fits =
    typeof telemetry === "object" &&
    telemetry !== null &&
    "tracer" in telemetry &&
    "contextManager" in telemetry;
  if (fits) return telemetry as RedlockTelemetry;
  throw new LockConfigError({
    path,
    found: describeValue(telemetry),
    expected: "an object of BullMQ's Telemetry interface, such as BullMQOtel's",
  });
}

function outcomeOf(error: unknown): string {
  if (error instanceof LockConflictError) return "conflict";
  if (error instanceof LockUnavailableError) return "unavailable";
  return "error";
}
