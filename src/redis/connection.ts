import type { Redis, RedisOptions } from "ioredis";
import type { Clock, Timer } from "../clock.ts";
import { describeConnectionError, describeEnd } from "./node-error.ts";

/**
 * Milliseconds without an answer after which a connection is given up: a new one that does not get ready, or a suspect one.
 * Longer than a stall worth waiting for, and shorter than the fifteen minutes of TCP.
 */
export const SILENCE_LIMIT = 10_000;

/** Milliseconds by which a timer may be late in a process that is not blocked. */
const LATE = 20;

/** Milliseconds in which a closed connection may deliver what was written. The process stays alive for that time at most. */
const DISCONNECT_TIMEOUT = 500;

/**
 * The options of every connection, on top of the user's: it lives once, fails fast, and never sends a command twice. With
 * the defaults of ioredis a command to a dead master fails after a minute, a command to a frozen master never fails, and a
 * lost reply makes the command run twice.
 */
const DEDICATED: RedisOptions = {
  lazyConnect: true,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  enableReadyCheck: false,
  enableAutoPipelining: false,
  // Commands that are in flight when the connection ends are rejected at once.
  maxRetriesPerRequest: 0,
  reconnectOnError: null,
  // The next connection is another client, with the options, credentials and address of that time.
  retryStrategy: null,
  readOnly: false,
  stringNumbers: false,
  keyPrefix: "",
  disableClientInfo: true,
  commandTimeout: undefined,
  socketTimeout: undefined,
  connectTimeout: SILENCE_LIMIT,
  disconnectTimeout: DISCONNECT_TIMEOUT,
  // Unknown to ioredis 5, which speaks RESP2 anyway. RESP3 needs HELLO, which an ACL may forbid.
  protocol: 2,
  replyMapping: "legacy",
};

/** Makes a client with options of ours on top of the user's. */
export type OpenClient = (this: void, options: RedisOptions) => Redis | Promise<Redis>;

/** What a {@link Connection} reports to its owner. */
interface ConnectionListener<T> {
  /** Runs on the new connection before it counts as ready; a rejection ends the connection. */
  prepare(client: Redis): Promise<T>;
  ready(prepared: T): void;
  /** The connection could not be made, or has ended. Called once, and not after {@link Connection.end}. */
  ended(cause: string): void;
}

/** One connection to one server: one ioredis client, from the attempt to connect to the end. It never reconnects. */
export class Connection<T> {
  readonly #listener: ConnectionListener<T>;
  readonly #clock: Clock;
  #timeout: Timer;
  #client: Redis | undefined;
  #error: unknown;
  #connected = false;
  #ready = false;
  #over = false;

  /** @param patience milliseconds until it has to be ready. */
  constructor(
    open: OpenClient,
    listener: ConnectionListener<T>,
    clock: Clock,
    patience = SILENCE_LIMIT,
  ) {
    this.#listener = listener;
    this.#clock = clock;
    this.#timeout = this.#expect(patience);
    void this.#open(open);
  }

  /** What the connection lacks to be ready, in words. */
  get missing(): string {
    if (this.#connected) return "no answer to the first command";
    const tls = Boolean(this.#client?.options.tls);
    return tls
      ? "no TLS connection (a server that speaks no TLS is given as redis:// or without the option tls)"
      : "no connection";
  }

  /** The client, if a command would be written to the connection now. */
  get client(): Redis | undefined {
    const client = this.#client;
    const writable = this.#ready && client?.status === "ready" && client.stream.writable;
    return writable ? client : undefined;
  }

  /**
   * Ends the connection; what was written before is still delivered where possible. Idempotent.
   * @param silent true when the server may not even notice the end: then the socket is destroyed after the writing.
   */
  end({ silent = false } = {}): void {
    if (this.#over) return;
    this.#over = true;
    this.#clock.clearTimer(this.#timeout);
    const client = this.#client;
    // A client that has ended would start a timer and wait for it.
    if (client === undefined || client.status === "end") return;
    client.disconnect();
    if (!this.#ready) (client.stream as Redis["stream"] | undefined)?.destroy();
    else if (silent) client.stream.destroySoon();
  }

  #expect(patience: number, isRepeated = false): Timer {
    const clock = this.#clock;
    const by = clock.now() + patience;
    return clock.timer(patience, () => {
      // A process that was blocked has not read what has come.
      if (clock.now() - by > LATE && !isRepeated) this.#timeout = this.#expect(patience, true);
      else this.#finish(`${this.missing} within ${patience / 1_000} s`);
    });
  }

  async #open(open: OpenClient): Promise<void> {
    try {
      // A microtask later, so that the owner has this connection even if it fails at once.
      const client = await Promise.resolve(DEDICATED).then(open);
      client.on("error", (error: unknown) => {
        this.#error = error;
      });
      if (this.#over) return;
      this.#client = client;
      client.on("connect", () => {
        this.#connected = true;
      });
      client.on("ready", () => void this.#prepare(client));
      const finish = (): void => {
        const tls = Boolean(client.options.tls);
        const stage = { connected: this.#connected, served: this.#ready, tls };
        this.#finish(describeEnd(this.#error, stage));
      };
      client.on("close", finish);
      client.on("end", finish);
      // The events report the outcome.
      client.connect().catch(() => {});
    } catch (error) {
      this.#finish(describeConnectionError(error));
    }
  }

  async #prepare(client: Redis): Promise<void> {
    try {
      const prepared = await this.#listener.prepare(client);
      if (this.#over) return;
      this.#ready = true;
      this.#clock.clearTimer(this.#timeout);
      this.#listener.ready(prepared);
    } catch (error) {
      // When the connection has ended, its own event gives a better cause than the command that was lost with it.
      if (client.status === "ready" && client.stream.writable)
        this.#finish(describeConnectionError(error));
    }
  }

  #finish(cause: string): void {
    if (this.#over) return;
    this.end();
    this.#listener.ended(cause);
  }
}
