import type { Redis, RedisOptions } from "ioredis";
import type { Clock, Timer } from "../clock.ts";
import type { Random } from "../random.ts";

/** Longest pause between two attempts to connect, in ms: a master that returns is used again within about a second. */
const LONGEST_RECONNECT_DELAY = 1_000;
/** First pause between two attempts to connect, in ms. */
const SHORTEST_RECONNECT_DELAY = 50;
/**
 * Milliseconds of silence, with a command waiting for its answer, after which a connection is taken for half open
 * and made anew. Long against any stall worth waiting for, short against TCP's own fifteen minutes.
 */
export const SILENCE_LIMIT = 10_000;

/**
 * The options every connection of ours has, whatever the user gave: it fails fast and never sends a command
 * twice. With ioredis' defaults a command to a dead master is answered after a minute, one to a frozen master
 * never, and a lost reply makes it run twice.
 */
function dedicatedOptions(retryDelay: () => number): RedisOptions {
  return {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    enableReadyCheck: false,
    enableAutoPipelining: false,
    // Whatever is in flight when a connection ends is rejected at once.
    maxRetriesPerRequest: 0,
    reconnectOnError: null,
    retryStrategy: retryDelay,
    readOnly: false,
    stringNumbers: false,
    keyPrefix: "",
    disableClientInfo: true,
    connectTimeout: SILENCE_LIMIT,
    // Unknown to ioredis 5, which speaks RESP2 anyway. HELLO would have to be allowed by every ACL.
    protocol: 2,
    replyMapping: "legacy",
  };
}

/** What a {@link Connection} needs from its owner. */
export interface ConnectionHooks {
  /** Runs on every new connection before it counts as up; a rejection closes it, and it is tried again. */
  prepare(client: Redis): Promise<void>;
  up(): void;
  /** The connection is gone, or could not be made. Called at each failure. */
  down(cause: string): void;
}

/** One connection to one master, kept up until it is closed. */
export class Connection {
  readonly client: Redis;
  readonly #hooks: ConnectionHooks;
  readonly #clock: Clock;
  #up = false;
  #started = false;
  #closed = false;
  #failures = 0;
  #lastError = "not connected";
  #preparing: Timer | undefined;

  constructor(
    makeClient: (options: RedisOptions) => Redis,
    hooks: ConnectionHooks,
    clock: Clock,
    random: Random,
  ) {
    this.#hooks = hooks;
    this.#clock = clock;
    this.client = makeClient(
      dedicatedOptions(() => {
        const delay = SHORTEST_RECONNECT_DELAY * 2 ** Math.min(this.#failures, 10);
        return Math.min(delay, LONGEST_RECONNECT_DELAY) * (0.75 + random.fraction() / 4);
      }),
    );
    this.client.on("error", (error: Error) => {
      this.#lastError = describeConnectionError(error);
    });
    this.client.on("connect", () => {
      this.#lastError = "no answer to the first command";
    });
    this.client.on("ready", () => void this.#prepare());
    this.client.on("close", () => this.#wentDown(this.#lastError));
  }

  /** True when commands may be sent. */
  get up(): boolean {
    return this.#up;
  }

  /** Why the connection is not up. */
  get cause(): string {
    return this.#lastError;
  }

  /** Connects, once; from then on the connection is kept up. */
  start(): void {
    if (this.#started || this.#closed) return;
    this.#started = true;
    // The outcome comes by the events; a failed attempt is repeated by ioredis.
    this.client.connect().catch(() => {});
  }

  /** Drops the connection and makes a new one. */
  reset(cause: string): void {
    if (this.#closed) return;
    this.#lastError = cause;
    this.client.disconnect(true);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#lastError = "closed";
    this.#clock.clearTimer(this.#preparing);
    this.client.disconnect();
    this.#wentDown("closed");
  }

  async #prepare(): Promise<void> {
    if (this.#closed) return;
    const epoch = (this.#preparing = this.#clock.timer(SILENCE_LIMIT, () =>
      this.reset("no answer to the first command"),
    ));
    try {
      await this.#hooks.prepare(this.client);
    } catch (error) {
      if (this.#preparing === epoch) this.reset(describeConnectionError(error));
      return;
    } finally {
      this.#clock.clearTimer(epoch);
    }
    if (this.#preparing !== epoch || this.#closed) return;
    this.#up = true;
    this.#failures = 0;
    this.#hooks.up();
  }

  #wentDown(cause: string): void {
    this.#up = false;
    this.#failures += 1;
    this.#clock.clearTimer(this.#preparing);
    this.#preparing = undefined;
    this.#hooks.down(cause);
  }
}

/** What went wrong, without the noise: `ECONNREFUSED`, or the server's own words. */
export function describeConnectionError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code: unknown = "code" in error ? error.code : undefined;
  if (typeof code === "string" && code !== "") return code;
  // A host name with several addresses fails with one error for each.
  if (error instanceof AggregateError) return error.errors.map(describeConnectionError).join(", ");
  return error.message;
}
