import { LockConflictError, LockUnavailableError } from "../errors.ts";
import type { SafeEmitter } from "../events.ts";
import type { Lock } from "../lock/lock.ts";
import { Metrics, type Observed } from "./metrics.ts";
import { type Attributes, ofQueue, type RedlockTelemetry, type Span } from "./telemetry.ts";

/** OpenTelemetry's number for a span that is no request to another service. */
const SPAN_KIND_INTERNAL = 0;

/** Observes a `Redlock`: a span for each acquisition, and metrics. An error of the telemetry becomes a warning. */
export class Observer {
  readonly #telemetry: RedlockTelemetry;
  readonly #events: SafeEmitter;
  readonly #metrics: Metrics | undefined;

  constructor(telemetry: RedlockTelemetry, events: SafeEmitter, observed: Observed) {
    this.#telemetry = telemetry;
    this.#events = events;
    const { meter } = telemetry;
    const safely = (observe: () => unknown): void => {
      this.#safely(observe);
    };
    this.#metrics = meter && this.#safely(() => new Metrics(meter, events, observed, safely));
  }

  /** Records the time that a master took to answer, in ms. */
  answered(node: string, ms: number): void {
    this.#metrics?.answered(node, ms);
  }

  /** Ends all recording that follows no event. Idempotent. */
  close(): void {
    this.#metrics?.close();
  }

  /** Surrounds one acquisition with a span, and counts and times its outcome. */
  async acquiring<T extends Lock>(
    keys: readonly string[],
    queue: string | undefined,
    now: () => number,
    acquisition: () => Promise<T>,
  ): Promise<T> {
    const startedAt = now();
    const span = this.begin(keys, queue);
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

  /** Starts the span of an acquisition. */
  begin(keys: readonly string[], queue: string | undefined): Span | undefined {
    const { tracer, contextManager } = this.#telemetry;
    const span = this.#safely(() =>
      tracer.startSpan("acquire-lock", { kind: SPAN_KIND_INTERNAL }, contextManager.active()),
    );
    const attributes = { "bullmq.redlock.keys": [...keys], ...ofQueue(queue) };
    this.#safely(() => span?.setAttributes(attributes));
    return span;
  }

  /** Ends an acquisition that met a holder after so many ms. */
  refused(span: Span | undefined, queue: string | undefined, ms: number): void {
    this.#ended(span, queue, "conflict", ms, {});
  }

  /** Ends an acquisition that asked only the wait list of its key: another one follows. */
  unasked(span: Span | undefined): void {
    this.#safely(() => span?.end());
  }

  #ended(
    span: Span | undefined,
    queue: string | undefined,
    outcome: string,
    ms: number,
    attributes: Attributes,
  ): void {
    this.#safely(() => span?.setAttributes({ "bullmq.redlock.outcome": outcome, ...attributes }));
    this.#safely(() => span?.end());
    this.#metrics?.ended(outcome, queue, ms);
  }

  #safely<T>(observe: () => T): T | undefined {
    const failed = (cause: unknown): void => {
      this.#events.emit("warning", { code: "telemetry-failed", message: "telemetry threw", cause });
    };
    try {
      const value = observe();
      // An instrument may be asynchronous.
      if (value instanceof Promise) value.catch(failed);
      return value;
    } catch (cause) {
      failed(cause);
      return undefined;
    }
  }
}

function outcomeOf(error: unknown): string {
  if (error instanceof LockConflictError) return "conflict";
  if (error instanceof LockUnavailableError) return "unavailable";
  return "error";
}
