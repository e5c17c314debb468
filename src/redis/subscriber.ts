import type { Redis } from "ioredis";
import type { Clock, Timer } from "../clock.ts";
import type { Random } from "../random.ts";
import type { OpenClient } from "./connection.ts";
import { PersistentConnection } from "./persistent-connection.ts";

/**
 * Milliseconds between two PINGs: a lost connection shows no other sign than messages that do not come. Costs each process one command
 * to each master in that time.
 */
const PING_INTERVAL = 2_000;

/**
 * Messages from one master, on a connection that exists only from the first subscription on. Best effort: a waiter also
 * checks its key from time to time.
 */
export class Subscriber {
  readonly #connection: PersistentConnection<readonly string[]>;
  readonly #clock: Clock;
  readonly #nodeTimeout: number;
  readonly #listeners = new Map<string, (message: string) => void>();
  #nextPing: Timer | undefined;
  #deadline: Timer | undefined;

  /** @param nodeTimeout milliseconds after which an answer is overdue. */
  constructor(open: OpenClient, nodeTimeout: number, clock: Clock, random: Random) {
    this.#clock = clock;
    this.#nodeTimeout = nodeTimeout;
    this.#connection = new PersistentConnection(
      open,
      {
        prepare: (client) => this.#resubscribe(client),
        up: (subscribed) => this.#wentUp(subscribed),
        down: () => this.#clearTimers(),
      },
      clock,
      random,
    );
  }

  subscribe(channel: string, listener: (message: string) => void): void {
    this.#listeners.set(channel, listener);
    this.#connection.start();
    this.#send((client) => client.subscribe(channel));
  }

  close(): void {
    this.#connection.close();
    this.#clearTimers();
  }

  async #resubscribe(client: Redis): Promise<readonly string[]> {
    client.on("message", (channel: string, message: string) => {
      this.#listeners.get(channel)?.(message);
    });
    const channels = [...this.#listeners.keys()];
    await client.subscribe(...channels);
    return channels;
  }

  #wentUp(subscribed: readonly string[]): void {
    this.#schedulePing();
    const missing = [...this.#listeners.keys()].filter((channel) => !subscribed.includes(channel));
    if (missing.length > 0) this.#send((client) => client.subscribe(...missing));
  }

  /** Sends a command, if there is a connection; a new one subscribes to everything. Any answer shows that it lives. */
  #send(command: (client: Redis) => Promise<unknown>): void {
    const client = this.#connection.lastClient;
    if (client === undefined) return;
    this.#deadline ??= this.#clock.timer(this.#nodeTimeout, () => {
      this.#connection.suspect(`no answer within ${this.#nodeTimeout} ms`);
    });
    command(client).then(
      () => this.#schedulePing(),
      (error: Error) => {
        if (error.name === "ReplyError") this.#schedulePing();
      },
    );
  }

  #schedulePing(): void {
    this.#clearTimers();
    if (this.#connection.lastClient === undefined) return;
    this.#connection.trust();
    this.#nextPing = this.#clock.timer(PING_INTERVAL, () => this.#send((client) => client.ping()));
  }

  #clearTimers(): void {
    this.#clock.clearTimer(this.#deadline);
    this.#clock.clearTimer(this.#nextPing);
    this.#deadline = undefined;
  }
}
