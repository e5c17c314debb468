import type { Redis } from "ioredis";
import type { Clock, Timer } from "../clock.ts";
import type { Random } from "../random.ts";
import { Connection } from "./connection.ts";
import type { OpenClient } from "./link.ts";

/**
 * Milliseconds between two questions whether the connection lives, while there is a subscription: no other sign tells
 * that messages do not come. Costs each process one PING to each master in that time.
 */
const SIGN_OF_LIFE = 2_000;

/**
 * Messages from one master, on a connection that exists only from the first subscription on. Best effort: who
 * waits for a message also looks by itself from time to time.
 */
export class Subscriber {
  readonly #connection: Connection<readonly string[]>;
  readonly #clock: Clock;
  readonly #nodeTimeout: number;
  readonly #listeners = new Map<string, Set<(message: string) => void>>();
  #next: Timer | undefined;
  #deadline: Timer | undefined;

  /** @param nodeTimeout milliseconds after which an answer is overdue. */
  constructor(open: OpenClient, nodeTimeout: number, clock: Clock, random: Random) {
    this.#clock = clock;
    this.#nodeTimeout = nodeTimeout;
    this.#connection = new Connection(
      open,
      {
        prepare: (client) => this.#resubscribe(client),
        up: (subscribed) => this.#wentUp(subscribed),
        down: () => this.#rest(),
      },
      clock,
      random,
    );
  }

  subscribe(channel: string, listener: (message: string) => void): () => void {
    this.#connection.start();
    let listeners = this.#listeners.get(channel);
    if (listeners === undefined) {
      this.#listeners.set(channel, (listeners = new Set()));
      this.#tell((client) => client.subscribe(channel));
    }
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0 || this.#listeners.get(channel) !== listeners) return;
      this.#listeners.delete(channel);
      this.#tell((client) => client.unsubscribe(channel));
    };
  }

  close(): void {
    this.#connection.close();
    this.#rest();
  }

  async #resubscribe(client: Redis): Promise<readonly string[]> {
    client.on("message", (channel: string, message: string) => {
      for (const listener of this.#listeners.get(channel) ?? []) listener(message);
    });
    const channels = [...this.#listeners.keys()];
    if (channels.length > 0) await client.subscribe(...channels);
    return channels;
  }

  #wentUp(subscribed: readonly string[]): void {
    this.#wait();
    const missing = [...this.#listeners.keys()].filter((channel) => !subscribed.includes(channel));
    if (missing.length > 0) this.#tell((client) => client.subscribe(...missing));
  }

  /** A connection that is not up yet subscribes to everything when it is. Any answer is a sign of life. */
  #tell(command: (client: Redis) => Promise<unknown>): void {
    const client = this.#connection.lastClient;
    if (client === undefined) return;
    this.#deadline ??= this.#clock.timer(this.#nodeTimeout, () => {
      this.#connection.suspect(`no answer within ${this.#nodeTimeout} ms`);
    });
    command(client).then(
      () => this.#wait(),
      (error: Error) => {
        if (error.name === "ReplyError") this.#wait();
      },
    );
  }

  #wait(): void {
    this.#rest();
    if (this.#connection.lastClient === undefined) return;
    this.#connection.trust();
    this.#next = this.#clock.timer(SIGN_OF_LIFE, () => {
      if (this.#listeners.size > 0) this.#tell((client) => client.ping());
      else this.#wait();
    });
  }

  #rest(): void {
    this.#clock.clearTimer(this.#deadline);
    this.#clock.clearTimer(this.#next);
    this.#deadline = undefined;
  }
}
