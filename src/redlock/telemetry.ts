import {
  LockConfigError,
  LockConflictError,
  LockUnavailableError,
  describeValue,
} from "../errors.ts";
import type { SafeEmitter } from "../events.ts";
import type { Lock } from "../lock/lock.ts";

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
    createHistogram(
      name: string,
      options: Instrument,
    ): { record(value: number, attributes?: Attributes): void };
  };
}

/** OpenTelemetry's number for a span that is no request to another service. */
const SPAN_KIND_INTERNAL = 0;

/** Observes a `Redlock`. Attributes of metrics never hold a key: there may be millions. */
export class Observer {
  readonly #telemetry: RedlockTelemetry;
  readonly #events: SafeEmitter;

  constructor(telemetry: RedlockTelemetry, events: SafeEmitter) {
    this.#telemetry = telemetry;
    this.#events = events;
    const { meter } = telemetry;
    if (meter === undefined) return;
    this.#safely(() => {
      const count = (name: string, description: string) =>
        meter.createCounter(`bullmq.redlock.${name}`, { description, unit: "1" });
      const lost = count("lost", "Locks that were lost before they were released");
      const extensions = count("extensions", "Extends that moved the deadline of a lock");
      const held = meter.createHistogram("bullmq.redlock.hold.duration", {
        description: "How long locks were held",
        unit: "ms",
      });
      events.on("lost", ({ error }) => lost.add(1, { reason: error.reason }));
      events.on("extended", () => extensions.add(1));
      events.on("released", (event) => held.record(event.held, { outcome: event.outcome }));
    });
  }

  /** Surrounds one acquisition with a span, and counts and times its outcome. */
  async acquiring<T extends Lock>(
    keys: readonly string[],
    now: () => number,
    acquisition: () => Promise<T>,
  ): Promise<T> {
    const { tracer, contextManager } = this.#telemetry;
    const startedAt = now();
    const span = this.#safely(() =>
      tracer.startSpan("acquire-lock", { kind: SPAN_KIND_INTERNAL }, contextManager.active()),
    );
    this.#safely(() => span?.setAttributes({ "bullmq.redlock.keys": [...keys] }));
    try {
      const lock = await acquisition();
      this.#ended(span, "acquired", now() - startedAt, {
        "bullmq.redlock.fencing_token": lock.fencingToken,
      });
      return lock;
    } catch (error) {
      if (error instanceof Error && !(error instanceof LockConflictError)) {
        const { name, message } = error;
        this.#safely(() => span?.recordException({ name, message }));
      }
      this.#ended(span, outcomeOf(error), now() - startedAt, {});
      throw error;
    }
  }

  #ended(span: Span | undefined, outcome: string, ms: number, attributes: Attributes): void {
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
        .add(1, { outcome });
      meter
        ?.createHistogram("bullmq.redlock.acquire.duration", {
          description: "How long it took to acquire locks, waiting included",
          unit: "ms",
        })
        .record(ms, { outcome });
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
