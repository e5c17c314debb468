import type { Redis, RedisOptions } from "ioredis";
import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import { Connection } from "./connection.ts";

/**
 * Messages from one master, on a connection that exists only from the first subscription on. Best effort: who
 * waits for a message also looks by itself from time to time.
 */
export class Subscriber {
  readonly #connection: Connection;
  readonly #listeners = new Map<string, Set<(message: string) => void>>();

  constructor(makeClient: (options: RedisOptions) => Redis, clock: Clock, random: Random) {
    this.#connection = new Connection(
      makeClient,
      { prepare: (client) => this.#resubscribe(client), up: () => {}, down: () => {} },
      clock,
      random,
    );
    this.#connection.client.on("message", (channel: string, message: string) => {
      for (const listener of this.#listeners.get(channel) ?? []) listener(message);
    });
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
  }

  async #resubscribe(client: Redis): Promise<void> {
    const channels = [...this.#listeners.keys()];
    if (channels.length > 0) await client.subscribe(...channels);
  }

  #tell(command: (client: Redis) => Promise<unknown>): void {
    // A connection that is not up yet subscribes to everything when it is; a failed one is made anew.
    if (this.#connection.up) command(this.#connection.client).catch(() => {});
  }
}
