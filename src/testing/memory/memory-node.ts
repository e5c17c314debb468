import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../clock.ts";
import type { Batch, Replies } from "../../redis/batch.ts";
import { NodeError } from "../../redis/node-error.ts";
import type { BatchListener, NodePort } from "../../redis/node-port.ts";
import type { SimulatedMaster } from "./simulated-master.ts";

/** A {@link NodePort} to a master in this process: every request is answered at once, without a timer. */
export class MemoryNode implements NodePort {
  readonly name: string;
  readonly #master: SimulatedMaster;
  readonly #clock: Clock;
  readonly #isReachable: () => boolean;
  readonly #subscriptions: (() => void)[] = [];
  #closed = false;

  constructor(name: string, master: SimulatedMaster, clock: Clock, isReachable: () => boolean) {
    this.name = name;
    this.#master = master;
    this.#clock = clock;
    this.#isReachable = isReachable;
  }

  send(batch: Batch, listener: BatchListener): void {
    const sentAt = this.#clock.now();
    // A promise job, because fake timers of a test runner replace every other way to run something later.
    void Promise.resolve().then(() => {
      if (this.#closed) return listener.failure(new NodeError("unreachable", "closed"));
      if (!this.#isReachable()) {
        return listener.failure(new NodeError("unreachable", "ECONNREFUSED"));
      }
      listener.answer(executeOn(this.#master, batch, this.name), sentAt, this.name);
    });
  }

  recovers(): Promise<boolean> {
    return Promise.resolve(false);
  }

  uptime(): number {
    return Infinity;
  }

  subscribe(channel: string, listener: (message: string) => void): void {
    const unsubscribe = this.#master.subscribe(channel, (message) => {
      void Promise.resolve().then(() => listener(message));
    });
    this.#subscriptions.push(unsubscribe);
  }

  close(): void {
    this.#closed = true;
    for (const unsubscribe of this.#subscriptions) unsubscribe();
  }
}

/** What a master answers to a batch. */
export function executeOn(master: SimulatedMaster, batch: Batch, server: string): Replies {
  const replies = batch.requests.map(({ operation, args }) => {
    try {
      return master.execute(operation, args, server);
    } catch (error) {
      if (error instanceof NodeError) return error;
      throw error;
    }
  });
  const isServed = batch.entries === replies.length && isDeepStrictEqual(replies, batch.served);
  return isServed ? undefined : replies;
}
