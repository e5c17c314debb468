import type { Redis } from "ioredis";
import type { Clock } from "../clock.ts";
import { Connection } from "./connection.ts";
import type { Endpoint } from "./endpoint.ts";
import { describeConnectionError } from "./node-error.ts";

/** What a {@link Probe} needs. */
export interface ProbeOptions {
  endpoint: Pick<Endpoint, "connect" | "db">;
  clock: Clock;
  /** Milliseconds that each question may take. */
  patience: number;
}

/** A question that was not answered. */
export class ProbeError extends Error {
  override readonly name = "ProbeError";
  /** True when the server refused, false when there was no answer. */
  readonly refused: boolean;

  constructor(refused: boolean, reason: string) {
    super(reason);
    this.refused = refused;
  }
}

/**
 * A short-lived connection for questions about one server, also about one that `Master` refuses to use. It connects at the first
 * question, and only once.
 */
export class Probe {
  readonly #options: ProbeOptions;
  #connection: Connection<Redis> | undefined;
  #closed = false;
  readonly #client: Promise<Redis>;
  #connected!: (client: Redis) => void;
  #failed!: (error: ProbeError) => void;

  constructor(options: ProbeOptions) {
    this.#options = options;
    this.#client = new Promise((resolve, reject) => {
      this.#connected = resolve;
      this.#failed = reject;
    });
    // Each question reports the failure.
    this.#client.catch(() => {});
  }

  /** Sends commands when there is a connection. Rejects with a {@link ProbeError} after `patience` at the latest. */
  ask<T>(question: (client: Redis) => Promise<T>): Promise<T> {
    const { clock, patience } = this.#options;
    if (!this.#closed) this.#connection ??= this.#connect();
    return new Promise((resolve, reject) => {
      const timer = clock.timer(patience, () =>
        reject(new ProbeError(false, `no answer within ${patience} ms`)),
      );
      this.#client
        .then(question)
        .then(resolve, (error: unknown) => reject(toProbeError(error)))
        .finally(() => clock.clearTimer(timer));
    });
  }

  /** Ends the connection; open questions are rejected. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#connection?.end();
    this.#failed(new ProbeError(false, "closed"));
  }

  #connect(): Connection<Redis> {
    const { endpoint, clock } = this.#options;
    return new Connection(
      endpoint.connect,
      {
        prepare: async (client) => {
          if (endpoint.db !== 0) await client.select(endpoint.db);
          return client;
        },
        ready: (client) => this.#connected(client),
        ended: (cause) => this.#failed(new ProbeError(false, cause)),
      },
      clock,
    );
  }
}

function toProbeError(error: unknown): ProbeError {
  if (error instanceof ProbeError) return error;
  const refused = error instanceof Error && error.name === "ReplyError";
  return new ProbeError(refused, describeConnectionError(error));
}
