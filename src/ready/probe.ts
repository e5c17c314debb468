import type { Redis } from "ioredis";
import type { Clock } from "../clock.ts";
import { Connection } from "../redis/connection.ts";
import type { Endpoint } from "../redis/endpoint.ts";
import { describeEnd } from "../redis/node-error.ts";

/** What a {@link Probe} needs. */
export interface ProbeOptions {
  endpoint: Pick<Endpoint, "connect" | "db">;
  clock: Clock;
  /** Milliseconds that each question may take. */
  patience: number;
}

/** A question that was not answered. */
class ProbeError extends Error {
  override readonly name = "ProbeError";
  /** True when the server refused, false when there was no answer. */
  readonly refused: boolean;

  constructor(refused: boolean, reason: string) {
    super(reason);
    this.refused = refused;
  }
}

/**
 * A short-lived connection for questions about a server, which may be unfit as a master. It connects at the first question,
 * and only once.
 */
export class Probe {
  readonly #options: ProbeOptions;
  #connection: Connection<Redis> | undefined;
  #client: Promise<Redis> | undefined;
  #fail: ((error: ProbeError) => void) | undefined;
  #answered = false;
  #closed = false;

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  /** Sends commands when there is a connection. Rejects with a {@link ProbeError} after `patience` at the latest. */
  ask<T>(question: (client: Redis) => Promise<T>): Promise<T> {
    const { clock, patience } = this.#options;
    const client = (this.#client ??= this.#connect());
    return new Promise((resolve, reject) => {
      // In a busy process an answer may have arrived unread: Node reads it before it runs immediates.
      const timer = clock.timer(patience, () => setImmediate(() => reject(this.#late())));
      client
        .then((opened) => this.#answer(question(opened), opened))
        .then(resolve, reject)
        .finally(() => clock.clearTimer(timer));
    });
  }

  /** Ends the connection; open questions are rejected. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#connection?.end();
    this.#fail?.(new ProbeError(false, "closed"));
  }

  #late(): ProbeError {
    const connection = this.#connection;
    const isReady = connection === undefined || connection.client !== undefined;
    const missing = isReady ? "no answer" : connection.missing;
    return new ProbeError(false, `${missing} within ${this.#options.patience} ms`);
  }

  async #answer<T>(answer: Promise<T>, { options }: Redis): Promise<T> {
    try {
      const value = await answer;
      this.#answered = true;
      return value;
    } catch (error) {
      if (error instanceof Error && error.name === "ReplyError") {
        this.#answered = true;
        throw new ProbeError(true, error.message);
      }
      const stage = { connected: true, served: this.#answered, tls: Boolean(options.tls) };
      throw new ProbeError(false, describeEnd(error, stage));
    }
  }

  #connect(): Promise<Redis> {
    if (this.#closed) return Promise.reject(new ProbeError(false, "closed"));
    const { endpoint, clock } = this.#options;
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      const prepare = async (client: Redis): Promise<Redis> => {
        if (endpoint.db !== 0) await client.select(endpoint.db);
        return client;
      };
      const ended = (cause: string): void => reject(new ProbeError(false, cause));
      this.#connection = new Connection<Redis>(
        endpoint.connect,
        { prepare, ready: resolve, ended },
        clock,
      );
    });
  }
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

/** The server's answer, or `undefined` when it refuses; `refuse` is called then, with the server's words. */
export async function permitted<T>(
  ask: () => Promise<T>,
  refuse: (cause: string) => void = () => undefined,
): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof ProbeError && error.refused)) throw error;
    // These refuse the client, not the command.
    if (/^(NOAUTH|WRONGPASS|LOADING|BUSY) |max number of clients/.test(error.message)) throw error;
    refuse(error.message);
    return undefined;
  }
}
