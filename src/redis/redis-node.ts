import type { Redis } from "ioredis";
import type { Clock, Timer } from "../clock.ts";
import type { Random } from "../random.ts";
import { Batch, type Pending, tellAll } from "./batch.ts";
import { Connection, SILENCE_LIMIT, describeConnectionError } from "./connection.ts";
import { Debts } from "./debts.ts";
import type { Endpoint } from "./endpoint.ts";
import { type AnswerListener, NodeError, type NodePort } from "./node-port.ts";
import { encodeCalls, type Call, type Program } from "./operation.ts";
import { Script } from "./script.ts";
import { describeFarClock, parseServerInfo, unfitness } from "./server-info.ts";
import { Subscriber } from "./subscriber.ts";

/** Most calls that one script call carries: longer ones would keep other clients of the master waiting. */
const LARGEST_BATCH = 128;
/** Milliseconds that calls wait for the very first connection, unless somebody says or the node's deadline is longer. */
const FIRST_CONNECT_PATIENCE = 2_000;

/** What a {@link RedisNode} needs. */
export interface RedisNodeOptions {
  endpoint: Endpoint;
  program: Program;
  /** Milliseconds the master has to answer. */
  nodeTimeout: number;
  /** Milliseconds that calls wait for the very first connection. Default 2000, or `nodeTimeout` if that is longer. */
  firstPatience?: number;
  /** Milliseconds by which the master's clock may differ from ours at most. */
  farthestClock: number;
  clock: Clock;
  random: Random;
  onUp(): void;
  onDown(cause: string): void;
}

/**
 * One lock master over ioredis. All calls of one tick travel as one script call; every call has a deadline of
 * its own making, because ioredis has none.
 */
export class RedisNode implements NodePort {
  readonly name: string;
  readonly #options: RedisNodeOptions;
  readonly #connection: Connection;
  readonly #script: Script;
  readonly #subscriber: Subscriber;
  readonly #inFlight = new Set<Batch>();
  readonly #debts = new Debts();
  #waiting: Pending[] = [];
  #flushing = false;
  #patience: Timer | undefined;
  /** "first" until the first attempt to connect has ended: only then do calls wait for the connection. */
  #stage: "idle" | "first" | "later" | "closed" = "idle";
  #server = "";
  #startedAt: number | undefined;
  #lastAnswerAt = 0;

  constructor(options: RedisNodeOptions) {
    const { endpoint, clock, random } = options;
    this.name = endpoint.name;
    this.#options = options;
    this.#script = new Script(options.program);
    this.#connection = new Connection(
      endpoint.connect,
      {
        prepare: (client) => this.#prepare(client),
        up: () => this.#wentUp(),
        down: (cause) => this.#wentDown(cause),
      },
      clock,
      random,
    );
    this.#subscriber = new Subscriber(endpoint.connect, clock, random);
  }

  ask<A, R>(call: Call<A, R>, listener: AnswerListener<R>): void {
    // A call's own operation parses its reply, so the types of one call stay together.
    this.#waiting.push({ call, listener });
    this.#start();
    this.#scheduleFlush();
  }

  uptime(): number {
    return this.#startedAt === undefined ? 0 : this.#options.clock.now() - this.#startedAt;
  }

  subscribe(channel: string, listener: (message: string) => void): () => void {
    return this.#subscriber.subscribe(channel, listener);
  }

  close(): void {
    if (this.#stage === "closed") return;
    const closed = new NodeError("unreachable", "closed");
    for (const batch of this.#inFlight) batch.fail(closed);
    // What was started is written, so that a rollback or a release started just now is not lost.
    this.#flush();
    this.#stage = "closed";
    this.#options.clock.clearTimer(this.#patience);
    this.#subscriber.close();
    this.#connection.close();
    this.#rejectWaiting(closed);
  }

  #start(): void {
    if (this.#stage !== "idle") return;
    this.#stage = "first";
    const { clock, nodeTimeout, firstPatience } = this.#options;
    const patience = firstPatience ?? Math.max(nodeTimeout, FIRST_CONNECT_PATIENCE);
    this.#patience = clock.timer(patience, () => {
      if (this.#stage === "first") this.#stage = "later";
      this.#flush();
    });
    this.#connection.start();
  }

  #scheduleFlush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    // The next-tick queue runs when all promise jobs of this tick are done: everything that was started in
    // the tick is in the batch, and nothing has waited for a timer.
    process.nextTick(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (!this.#connection.up) {
      if (this.#stage === "first") return;
      this.#rejectWaiting(new NodeError("unreachable", this.#connection.cause));
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let i = 0; i < waiting.length; i += LARGEST_BATCH) {
      this.#send(waiting.slice(i, i + LARGEST_BATCH));
    }
  }

  #send(pending: Pending[]): void {
    const { clock, nodeTimeout } = this.#options;
    const batch = new Batch(pending, clock, nodeTimeout, () => this.#deadlinePassed());
    this.#inFlight.add(batch);
    const argv = encodeCalls(
      pending.map(({ call }) => call),
      this.#server,
    );
    // Sent again only if the server did not know the script, hence executed nothing, and while it still matters.
    this.#script
      .run(this.#connection.client, argv, () => !batch.settled)
      .then(
        (replies) => this.#answered(batch, replies),
        (error: unknown) => this.#failed(batch, toNodeError(error)),
      );
  }

  #answered(batch: Batch, replies: unknown): void {
    this.#lastAnswerAt = this.#options.clock.now();
    if (this.#inFlight.delete(batch)) batch.answer(replies, this.#server);
  }

  #failed(batch: Batch, error: NodeError): void {
    if (!this.#inFlight.delete(batch)) return;
    if (error.failure === "unreachable") this.#owe(batch.pending);
    batch.fail(error);
  }

  #deadlinePassed(): void {
    // The batch stays in flight: its answer may still come. A connection silent for too long is given up.
    const [oldest] = this.#inFlight;
    if (oldest === undefined) return;
    const silentSince = Math.max(oldest.sentAt, this.#lastAnswerAt);
    const silence = this.#options.clock.now() - silentSince;
    if (silence > SILENCE_LIMIT) this.#connection.reset("silent for too long");
  }

  async #prepare(client: Redis): Promise<void> {
    const { endpoint, clock, farthestClock } = this.#options;
    // ioredis goes on in database 0 when its own SELECT fails.
    if (endpoint.db !== 0) await client.select(endpoint.db);
    const asked = clock.wall();
    // Alone: a server that wants a password hangs up on so long a text as the script, and its reason may be lost with it.
    const info = parseServerInfo(await client.info());
    const unfit = unfitness(info);
    if (unfit !== undefined) throw new Error(unfit.cause);
    const ours = { asked, answered: clock.wall(), farthest: farthestClock };
    const farClock = describeFarClock(info, ours);
    if (farClock !== undefined) throw new Error(farClock);
    await this.#script.load(client);
    this.#server = info.runId;
    this.#startedAt = info.uptime === undefined ? undefined : clock.now() - info.uptime;
  }

  #wentUp(): void {
    this.#leaveFirstStage();
    this.#lastAnswerAt = this.#options.clock.now();
    // Before everything that waits, as they were started before.
    this.#waiting.unshift(...this.#debts.settle(this.#lastAnswerAt).map(forNobody));
    this.#options.onUp();
    this.#flush();
  }

  #wentDown(cause: string): void {
    this.#leaveFirstStage();
    const error = new NodeError("unreachable", cause);
    for (const batch of this.#inFlight) this.#failed(batch, error);
    this.#rejectWaiting(error);
    this.#options.onDown(cause);
  }

  #leaveFirstStage(): void {
    this.#options.clock.clearTimer(this.#patience);
    if (this.#stage === "first") this.#stage = "later";
  }

  #rejectWaiting(error: NodeError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#owe(waiting);
    tellAll(waiting, ({ listener }) => listener.failure(error));
  }

  #owe(pending: readonly Pending[]): void {
    const now = this.#options.clock.now();
    for (const { call } of pending) if (call.operation.owed) this.#debts.add(call, now);
  }
}

function forNobody(call: Call<unknown, unknown>): Pending {
  return { call, listener: { answer: () => {}, failure: () => {} } };
}

/** What the server did not say, it did not refuse: the command did not get through. */
function toNodeError(error: unknown): NodeError {
  const refused = error instanceof Error && error.name === "ReplyError";
  return new NodeError(refused ? "refused" : "unreachable", describeConnectionError(error));
}
