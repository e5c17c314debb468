import type { Redis } from "ioredis";
import type { Clock } from "../clock.ts";
import { describeConnectionError } from "../redis/causes.ts";
import type { Endpoint } from "../redis/endpoint.ts";
import { Link } from "../redis/link.ts";

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
 * A short-lived connection to one server, which leaves the connection of the locks alone, and works where that refuses
 * the server. Made at the first question, and never again once it is lost.
 */
export class Probe {
  readonly #options: ProbeOptions;
  #link: Link<Redis> | undefined;
  #closed = false;
  readonly #client: Promise<Redis>;
  #wentUp!: (client: Redis) => void;
  #wentDown!: (error: ProbeError) => void;

  constructor(options: ProbeOptions) {
    this.#options = options;
    this.#client = new Promise((resolve, reject) => {
      this.#wentUp = resolve;
      this.#wentDown = reject;
    });
    // Each question reports it.
    this.#client.catch(() => {});
  }

  /** Sends commands when there is a connection. Rejects with a {@link ProbeError} within the patience. */
  ask<T>(question: (client: Redis) => Promise<T>): Promise<T> {
    const { clock, patience } = this.#options;
    if (!this.#closed) this.#link ??= this.#connect();
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
    this.#link?.end();
    this.#wentDown(new ProbeError(false, "closed"));
  }

  #connect(): Link<Redis> {
    const { endpoint, clock } = this.#options;
    return new Link(
      endpoint.connect,
      {
        prepare: async (client) => {
          if (endpoint.db !== 0) await client.select(endpoint.db);
          return client;
        },
        ready: (client) => this.#wentUp(client),
        ended: (cause) => this.#wentDown(new ProbeError(false, cause)),
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

/** A command or an operation that the server refuses. */
export interface Refusal {
  /** The command, or the operation of the script. */
  readonly what: string;
  /** In the server's words. */
  readonly cause: string;
  /** True when locks do without it, and only the commands for operators do not; else absent. */
  readonly onlyForLooking?: true;
}

/** The server's answer, or `undefined` when it refuses; `refuse` is called then. */
export async function permitted<T>(
  what: string,
  ask: () => Promise<T>,
  refuse: (refusal: Refusal) => void,
): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof ProbeError && error.refused)) throw error;
    // These refuse the client, not the command.
    if (/^(NOAUTH|WRONGPASS|LOADING|BUSY) /.test(error.message)) throw error;
    refuse({ what, cause: error.message });
    return undefined;
  }
}

/** The server's answer, or `undefined` when it refuses. */
export async function optional<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof ProbeError && error.refused) return undefined;
    throw error;
  }
}
