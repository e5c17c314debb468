import type { Redis, RedisOptions } from "ioredis";
import type { Clock, Timer } from "../clock.ts";
import { describeConnectionError, describeEnd } from "./causes.ts";

/**
 * Milliseconds without an answer after which a connection is given up: a new one that does not get ready, and an old one
 * in doubt. Long against any stall worth waiting for, short against TCP's own fifteen minutes.
 */
export const SILENCE_LIMIT = 10_000;

/** Milliseconds that a closed connection has to get rid of what was written; the process lives on for so long at most. */
const FAREWELL = 500;

/**
 * The options every connection of ours has, whatever the user gave: it lives once, fails fast, and never sends a command
 * twice. With ioredis' defaults a command to a dead master is answered after a minute, one to a frozen master
 * never, and a lost reply makes it run twice.
 */
const DEDICATED: RedisOptions = {
  lazyConnect: true,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  enableReadyCheck: false,
  enableAutoPipelining: false,
  // Whatever is in flight when a connection ends is rejected at once.
  maxRetriesPerRequest: 0,
  reconnectOnError: null,
  // The next connection is another client: with the options, the credentials and the address of that time.
  retryStrategy: null,
  readOnly: false,
  stringNumbers: false,
  keyPrefix: "",
  disableClientInfo: true,
  commandTimeout: undefined,
  socketTimeout: undefined,
  connectTimeout: SILENCE_LIMIT,
  disconnectTimeout: FAREWELL,
  // Unknown to ioredis 5, which speaks RESP2 anyway. HELLO would have to be allowed by every ACL.
  protocol: 2,
  replyMapping: "legacy",
};

/** Makes a client with options of ours on top of those that the user gave. */
export type OpenClient = (this: void, options: RedisOptions) => Redis | Promise<Redis>;

/** What a {@link Link} needs from its owner. */
export interface LinkHooks<T> {
  /** Runs on the new connection before it counts as ready; a rejection ends it. */
  prepare(client: Redis): Promise<T>;
  ready(prepared: T): void;
  /** It could not be made, or is over. The last that is heard, and not of a link that its owner ended. */
  ended(cause: string): void;
}

/** One connection to one server, from the attempt to make it to its end. It does not come back. */
export class Link<T> {
  readonly #hooks: LinkHooks<T>;
  readonly #clock: Clock;
  readonly #patience: Timer;
  #client: Redis | undefined;
  #error: unknown;
  #connected = false;
  #ready = false;
  #over = false;

  constructor(open: OpenClient, hooks: LinkHooks<T>, clock: Clock) {
    this.#hooks = hooks;
    this.#clock = clock;
    this.#patience = clock.timer(SILENCE_LIMIT, () =>
      this.#finish(`${this.missing} within ${SILENCE_LIMIT / 1_000} s`),
    );
    void this.#open(open);
  }

  /** What it waits for while it is not ready, in words. */
  get missing(): string {
    if (this.#connected) return "no answer to the first command";
    const tls = Boolean(this.#client?.options.tls);
    return tls
      ? "no TLS connection (a server that speaks no TLS is given as redis:// or without the option tls)"
      : "no connection";
  }

  /** The client, if what is sent by it now is written to the connection. */
  get client(): Redis | undefined {
    const client = this.#client;
    const writable = this.#ready && client?.status === "ready" && client.stream.writable;
    return writable ? client : undefined;
  }

  /** Ends it; what was written before is still delivered where possible. Idempotent. */
  end({ silent = false } = {}): void {
    if (this.#over) return;
    this.#over = true;
    this.#clock.clearTimer(this.#patience);
    const client = this.#client;
    // One that has ended would start a timer, and wait for it.
    if (client === undefined || client.status === "end") return;
    client.disconnect();
    // Nothing was written, or the other side does not even hear that this one is closed.
    if (!this.#ready) (client.stream as Redis["stream"] | undefined)?.destroy();
    else if (silent) client.stream.destroySoon();
  }

  async #open(open: OpenClient): Promise<void> {
    try {
      // Not before the owner knows this link, even if it fails at once.
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
      // The outcome comes by the events.
      client.connect().catch(() => {});
    } catch (error) {
      this.#finish(describeConnectionError(error));
    }
  }

  async #prepare(client: Redis): Promise<void> {
    try {
      const prepared = await this.#hooks.prepare(client);
      if (this.#over) return;
      this.#ready = true;
      this.#clock.clearTimer(this.#patience);
      this.#hooks.ready(prepared);
    } catch (error) {
      // A connection that ended says better why than the command that was lost with it.
      if (client.status === "ready" && client.stream.writable)
        this.#finish(describeConnectionError(error));
    }
  }

  #finish(cause: string): void {
    if (this.#over) return;
    this.end();
    this.#hooks.ended(cause);
  }
}
