import { wrongOption } from "../check-options.ts";

/** The attributes of a span or of a metric. */
export type Attributes = Record<string, string | number | boolean | string[] | undefined>;

/** A span of a tracer. */
export interface Span {
  setAttributes(attributes: Attributes): void;
  recordException(exception: { name: string; message: string }): void;
  end(): void;
}

interface Instrument {
  description: string;
  unit: string;
}

/**
 * The part of BullMQ's `Telemetry` interface that `Redlock` uses: pass the object of your queues and workers, such as
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
    /** Missing in older objects of BullMQ 5: there are no gauges then. */
    createGauge?(name: string, options: Instrument): Recorder;
  };
}

/** A gauge or a histogram. */
export interface Recorder {
  record(value: number, attributes?: Attributes): void;
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
  throw wrongOption(
    path,
    telemetry,
    "an object of BullMQ's Telemetry interface, such as BullMQOtel's",
  );
}

/** Names a queue as BullMQ does in its own metrics. */
export function ofQueue(queue: string | undefined): Attributes {
  return queue === undefined ? {} : { "bullmq.queue.name": queue };
}
