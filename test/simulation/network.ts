import type { Clock } from "../../src/clock.ts";
import { NodeError } from "../../src/redis/node-error.ts";
import type { BatchListener, NodePort } from "../../src/redis/node-port.ts";
import type { Batch } from "../../src/redis/batch.ts";
import type { Random } from "../../src/random.ts";
import { executeOn } from "../../src/testing/memory/memory-node.ts";
import { SimulatedMaster } from "../../src/testing/memory/simulated-master.ts";
import type { Faults } from "./faults.ts";
import type { Host } from "./host.ts";
import type { Timeline } from "./timeline.ts";

/** A lock master on its own machine. */
export class Server {
  readonly name: string;
  readonly master: SimulatedMaster;
  readonly #timeline: Timeline;
  readonly #rate: number;
  #clockStep = 0;
  /** Which process this is: another one after each restart. */
  epoch = 0;
  up = true;
  /** How many commands have come. */
  requests = 0;
  #startedAt = -1_000_000_000;
  #frozen: (() => void)[] | undefined;

  constructor(name: string, timeline: Timeline, rate: number) {
    this.name = name;
    this.#timeline = timeline;
    this.#rate = rate;
    const clock: Pick<Clock, "now"> = {
      now: () => timeline.now * rate + 5_000_000 + this.#clockStep,
    };
    this.master = new SimulatedMaster(clock as Clock);
  }

  get id(): string {
    return `${this.name}-${this.epoch}`;
  }

  get uptime(): number {
    return this.#timeline.now - this.#startedAt;
  }

  /** Hands a command to the process that it was sent to, unless that is gone. */
  receive(epoch: number, execute: () => void): void {
    this.requests += 1;
    if (!this.up || epoch !== this.epoch) return;
    if (this.#frozen === undefined) execute();
    else this.#frozen.push(execute);
  }

  get frozen(): boolean {
    return this.#frozen !== undefined;
  }

  freeze(): void {
    this.#frozen ??= [];
  }

  thaw(): void {
    const frozen = this.#frozen ?? [];
    this.#frozen = undefined;
    for (const execute of frozen) execute();
  }

  crash(): void {
    this.up = false;
    this.#frozen = undefined;
  }

  /** @param memory what the new process knows: all, nothing, or what was there at an earlier time. */
  restart(memory: "all" | "nothing" | (() => void)): void {
    this.up = true;
    this.epoch += 1;
    this.#startedAt = this.#timeline.now;
    if (memory === "nothing") this.master.wipe();
    else if (typeof memory === "function") memory();
  }

  stepClock(ms: number): void {
    this.#clockStep += ms;
  }

  get rate(): number {
    return this.#rate;
  }
}

interface WireParts {
  timeline: Timeline;
  random: Random;
  faults: Faults;
  nodeTimeout: number;
  /** The server hides its identity. */
  hidden: boolean;
  /** It reports when an answer came as when the request was sent. */
  countsFromAnswer?: boolean;
  /** No message of a channel arrives. */
  deaf?: boolean;
}

/** How long a slow message is under way at most, in node timeouts: as long as a lock lives. */
const LONGEST_DELAY = 20;

/** Milliseconds until a new connection can be used, at most. */
const CONNECTING = 10;

/** Milliseconds until a subscription is in force, at most. */
const SUBSCRIBING = 50;

/** The way from one client to one server: delays, losses, duplicates, partitions. */
export class Wire implements NodePort {
  readonly name: string;
  readonly #server: Server;
  readonly #host: Host;
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #faults: Faults;
  readonly #nodeTimeout: number;
  /** Nothing passes: a partition. */
  cut = false;
  /** The connection: to which process, and whether a middlebox has forgotten it without a word. */
  #flow: Flow;
  #connecting: Promise<boolean> | undefined;
  #connectedAt = -Infinity;
  #lastAnswerAt = -Infinity;
  readonly #hidden: boolean;
  readonly #countsFromAnswer: boolean;
  readonly #deaf: boolean;
  readonly #subscriptions: (() => void)[] = [];
  #closed = false;

  constructor(name: string, server: Server, host: Host, parts: WireParts) {
    this.name = name;
    this.#server = server;
    this.#host = host;
    this.#timeline = parts.timeline;
    this.#random = parts.random;
    this.#faults = parts.faults;
    this.#nodeTimeout = parts.nodeTimeout;
    this.#hidden = parts.hidden;
    this.#countsFromAnswer = parts.countsFromAnswer === true;
    this.#deaf = parts.deaf === true;
    this.#flow = { epoch: server.epoch, stranded: false };
  }

  /** Nothing passes on the present connection any more, and neither side is informed: half open. */
  strand(): void {
    this.#flow.stranded = true;
  }

  send(batch: Batch, listener: BatchListener): void {
    const server = this.#server;
    const host = this.#host;
    // It may have died in the middle of a step.
    if (host.dead) return;
    const flow = this.#flow;
    const { epoch } = flow;
    if (!server.up || epoch !== server.epoch) {
      this.#reconnect(50 + 100 * this.#random.fraction());
      queueMicrotask(() => listener.failure(new NodeError("unreachable", "ECONNRESET")));
      return;
    }
    const sentAt = host.now();
    const id = this.#hidden ? "" : server.id;
    let open = true;
    let answered = false;
    const deadline = host.timer(this.#nodeTimeout, () => {
      open = false;
      // The real one tries a second connection beside one that let a deadline go by.
      if (this.#lastAnswerAt < sentAt) this.#reconnect(CONNECTING * this.#random.fraction());
      listener.failure(new NodeError("timed-out", `no answer within ${this.#nodeTimeout} ms`));
    });
    const execute = (): void => {
      const replies = executeOn(server.master, batch, id);
      this.#carry(flow, () => {
        if (answered || epoch !== server.epoch) return;
        host.deliver(() => {
          if (answered) return;
          answered = true;
          this.#lastAnswerAt = host.now();
          host.clearTimer(deadline);
          const since = this.#countsFromAnswer ? this.#lastAnswerAt : sentAt;
          if (open) listener.answer(replies, since, id);
          else listener.late(replies, since, id);
        });
      });
    };
    this.#carry(flow, () => server.receive(epoch, execute));
  }

  async recovers(since: number): Promise<boolean> {
    return this.#connecting === undefined ? this.#connectedAt >= since : await this.#connecting;
  }

  uptime(): number {
    return this.#server.uptime;
  }

  subscribe(channel: string, listener: (message: string) => void): void {
    if (this.#deaf) return;
    // The request to subscribe needs its time, on a connection of its own; it is repeated until it arrives.
    this.#timeline.in(SUBSCRIBING * this.#random.fraction(), () => {
      if (this.#closed || this.#host.dead) return;
      const unsubscribe = this.#server.master.subscribe(channel, (message) => {
        this.#carry(ALIVE, () => this.#host.deliver(() => listener(message)));
      });
      this.#host.connections.push(unsubscribe);
      this.#subscriptions.push(unsubscribe);
    });
  }

  close(): void {
    this.#closed = true;
    for (const unsubscribe of this.#subscriptions) unsubscribe();
  }

  /** Carries a message one way, perhaps never, perhaps twice. */
  #carry(flow: Flow, arrive: () => void): void {
    const { loss, duplication, slow, distance } = this.#faults;
    const fraction = (): number => this.#random.fraction();
    if (this.cut) return this.#faults.count("partition");
    if (flow.stranded) return;
    if (fraction() < loss) return this.#faults.count("loss");
    const held = this.#faults.holdBack();
    const delay = (): number => {
      if (held > 0) return held;
      if (fraction() >= slow) return distance * (0.2 + 2 * fraction());
      this.#faults.count("delay");
      return this.#nodeTimeout * LONGEST_DELAY * fraction();
    };
    this.#timeline.in(delay(), arrive);
    if (fraction() < duplication) {
      this.#faults.count("duplication");
      this.#timeline.in(delay(), arrive);
    }
  }

  /** Replaces the connection by a new one, if the server can be reached by then. */
  #reconnect(ms: number): void {
    this.#connecting ??= new Promise((resolve) => {
      this.#host.timer(ms, () => {
        this.#connecting = undefined;
        const reached = this.#server.up && !this.#server.frozen && !this.cut;
        if (reached) {
          this.#flow = { epoch: this.#server.epoch, stranded: false };
          this.#connectedAt = this.#host.now();
        }
        resolve(reached);
      });
    });
  }
}

interface Flow {
  readonly epoch: number;
  stranded: boolean;
}

/** Subscriptions have a connection of their own, which is looked after as long as there are any. */
const ALIVE: Flow = { epoch: 0, stranded: false };
