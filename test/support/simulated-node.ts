import type { Clock } from "../../src/clock.ts";
import type { Batch } from "../../src/redis/batch.ts";
import { NodeError } from "../../src/redis/node-error.ts";
import type { BatchListener, NodePort } from "../../src/redis/node-port.ts";
import { executeOn } from "../../src/testing/memory/memory-node.ts";
import { SimulatedMaster } from "../../src/testing/memory/simulated-master.ts";

/** How a {@link SimulatedNode} behaves; may be changed at any time. */
interface Behaviour {
  /** Milliseconds a command travels to the master. */
  there: number;
  /** Milliseconds an answer travels back. */
  back: number;
  /** Commands wait in front of the master, and are executed when this ends: SIGSTOP. */
  frozen: boolean;
  /** Commands fail at once: no process listens. */
  refused: boolean;
  /** Commands are executed, answers never come. */
  mute: boolean;
}

/** A {@link NodePort} to a simulated master. */
export class SimulatedNode implements NodePort {
  readonly name: string;
  readonly master: SimulatedMaster;
  readonly behaviour: Behaviour = { there: 1, back: 1, frozen: false, refused: false, mute: false };
  /** What was sent, by name and in order. */
  readonly sent: string[] = [];
  /** The identity of the server process: another one after a restart. */
  server: string;
  /** Milliseconds since its start, as the server reports it. */
  upFor = Infinity;
  readonly #clock: Clock;
  readonly #subscriptions: (() => void)[] = [];
  readonly #nodeTimeout: number;
  #stopped: (() => void)[] = [];

  /** @param own the clock of the master itself. */
  constructor(name: string, clock: Clock, nodeTimeout: number, own: Clock = clock) {
    this.name = name;
    this.server = name.replaceAll(":", "-");
    this.master = new SimulatedMaster(own);
    this.#clock = clock;
    this.#nodeTimeout = nodeTimeout;
  }

  /** The server process is killed and started again, with its memory or empty. */
  restart({ empty }: { empty: boolean }): void {
    this.server = `${this.server}'`;
    this.upFor = 0;
    if (empty) this.master.wipe();
  }

  /** Ends a freeze: the master executes the commands that have arrived, in order. */
  thaw(): void {
    this.behaviour.frozen = false;
    const stopped = this.#stopped;
    this.#stopped = [];
    for (const execute of stopped) execute();
  }

  send(batch: Batch, listener: BatchListener): void {
    const clock = this.#clock;
    const sentAt = clock.now();
    for (const { operation } of batch.requests) this.sent.push(operation.name);
    if (this.behaviour.refused) {
      queueMicrotask(() => listener.failure(new NodeError("unreachable", "ECONNREFUSED")));
      return;
    }
    let inTime = true;
    const deadline = clock.timer(this.#nodeTimeout, () => {
      inTime = false;
      listener.failure(new NodeError("timed-out", `no answer within ${this.#nodeTimeout} ms`));
    });
    const execute = (): void => {
      const replies = executeOn(this.master, batch, this.server);
      if (this.behaviour.mute) return;
      clock.timer(this.behaviour.back, () => {
        clock.clearTimer(deadline);
        if (inTime) listener.answer(replies, sentAt, this.server);
        else listener.late(replies, sentAt, this.server);
      });
    };
    clock.timer(this.behaviour.there, () => {
      if (this.behaviour.frozen) this.#stopped.push(execute);
      else execute();
    });
  }

  /** Its connection is never lost. */
  recovers(): Promise<boolean> {
    return Promise.resolve(false);
  }

  uptime(): number {
    return this.upFor;
  }

  subscribe(channel: string, listener: (message: string) => void): void {
    const unsubscribe = this.master.subscribe(channel, (message) => {
      this.#clock.timer(this.behaviour.back, () => listener(message));
    });
    this.#subscriptions.push(unsubscribe);
  }

  close(): void {
    for (const unsubscribe of this.#subscriptions) unsubscribe();
  }
}
