import type { Redis } from "ioredis";
import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import { Connection, describeConnectionError } from "./connection.ts";
import type { Endpoint } from "./endpoint.ts";

/** What a {@link Probe} needs. */
export interface ProbeOptions {
  endpoint: Pick<Endpoint, "connect" | "db">;
  clock: Clock;
  random: Random;
  /** Milliseconds that each question may take. */
  patience: number;
}

/** A question that was not answered. */
export class ProbeError extends Error {
  override readonly name = "ProbeError";
  /** True when it was the server that refused, false when there was no answer. */
  readonly refused: boolean;

  constructor(refused: boolean, reason: string) {
    super(reason);
    this.refused = refused;
  }
}

/**
 * A short-lived connection to one server, to look at it without disturbing the one that locks use: also at a
 * server that the other refuses to use. Made at the first question, and never again once it is lost.
 */
export class Probe {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #patience: number;
  readonly #up: Promise<void>;
  #wentUp!: () => void;
  #wentDown!: (error: ProbeError) => void;

  constructor({ endpoint, clock, random, patience }: ProbeOptions) {
    this.#clock = clock;
    this.#patience = patience;
    this.#up = new Promise((resolve, reject) => {
      this.#wentUp = resolve;
      this.#wentDown = reject;
    });
    // Told to whoever asks.
    this.#up.catch(() => {});
    this.#connection = new Connection(
      endpoint.connect,
      {
        prepare: async (client) => {
          if (endpoint.db !== 0) await client.select(endpoint.db);
        },
        up: () => this.#wentUp(),
        down: (cause) => {
          this.#wentDown(new ProbeError(false, cause));
          this.#connection.close();
        },
      },
      clock,
      random,
    );
  }

  /** Sends commands when there is a connection. Rejects with a {@link ProbeError} within the patience. */
  ask<T>(question: (client: Redis) => Promise<T>): Promise<T> {
    this.#connection.start();
    return new Promise((resolve, reject) => {
      const timer = this.#clock.timer(this.#patience, () =>
        reject(new ProbeError(false, `no answer within ${this.#patience} ms`)),
      );
      this.#up
        .then(() => question(this.#connection.client))
        .then(resolve, (error: unknown) => reject(toProbeError(error)))
        .finally(() => this.#clock.clearTimer(timer));
    });
  }

  /** Ends the connection; what was asked is rejected. Idempotent. */
  close(): void {
    this.#connection.close();
  }
}

function toProbeError(error: unknown): ProbeError {
  if (error instanceof ProbeError) return error;
  const refused = error instanceof Error && error.name === "ReplyError";
  return new ProbeError(refused, describeConnectionError(error));
}
