import type { Redis } from "ioredis";
import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import { type Batch, type Pending, refusal, tellAll } from "./batch.ts";
import { describeEnd } from "./causes.ts";
import { Connection } from "./connection.ts";
import { Debts } from "./debts.ts";
import type { Endpoint } from "./endpoint.ts";
import { prepareServer, type Server } from "./first-commands.ts";
import { InFlight } from "./in-flight.ts";
import { type AnswerListener, NodeError, type NodePort } from "./node-port.ts";
import { arrange, type Call, encodeCalls, type Program } from "./operation.ts";
import { Outbox } from "./outbox.ts";
import { Script } from "./script.ts";
import { Subscriber } from "./subscriber.ts";

/** Most calls that one script call carries: longer ones would keep other clients of the master waiting. */
const LARGEST_BATCH = 128;
/** Calls that may be unanswered before no more are written: enough to keep a master busy, few enough to be answered in time. */
const MOST_IN_FLIGHT = 4 * LARGEST_BATCH;
/** Milliseconds that calls wait for the very first connection, unless somebody says or the node's deadline is longer. */
const FIRST_CONNECT_PATIENCE = 2_000;
/** Milliseconds that a call waits at most until it is written, while the master answers the calls before it. */
const LONGEST_QUEUE = 10_000;

const TOO_MANY = `not sent within ${LONGEST_QUEUE / 1_000} s: this process asks for more than can be answered`;

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
  readonly #connection: Connection<Server>;
  readonly #script: Script;
  readonly #subscriber: Subscriber;
  readonly #outbox: Outbox;
  readonly #inFlight: InFlight;
  readonly #debts = new Debts();
  #flushing = false;
  #closed = false;
  #server: Server = { id: "", startedAt: undefined };
  /** When the calls of this tick were asked. */
  #askedAt = 0;
  #startedAt: number | undefined;
  #upSince: number | undefined;

  constructor(options: RedisNodeOptions) {
    const { endpoint, nodeTimeout, farthestClock, clock, random } = options;
    this.name = endpoint.name;
    this.#options = options;
    this.#script = new Script(options.program);
    this.#outbox = new Outbox(clock);
    this.#inFlight = new InFlight(clock, nodeTimeout, () => {
      this.#connection.suspect(`no answer within ${nodeTimeout} ms`);
      this.#flush();
    });
    const script = this.#script;
    this.#connection = new Connection(
      endpoint.connect,
      {
        prepare: (client) =>
          prepareServer(client, { db: endpoint.db, script, clock, farthestClock }),
        up: (server) => this.#wentUp(server),
        down: (cause) => this.#wentDown(cause),
      },
      clock,
      random,
    );
    this.#subscriber = new Subscriber(endpoint.connect, nodeTimeout, clock, random);
  }

  ask<A, R>(call: Call<A, R>, listener: AnswerListener<R>): void {
    // A call's own operation parses its reply, so the types of one call stay together.
    if (!this.#flushing) this.#scheduleFlush();
    this.#outbox.add({ call, listener, askedAt: this.#askedAt });
  }

  async recovers(since: number): Promise<boolean> {
    const { clock, nodeTimeout } = this.#options;
    const { hope, inDoubtSince = Infinity } = this.#connection;
    // A doubt that has lasted is an outage: only those that have met it first wait for its end.
    if (hope !== undefined) return inDoubtSince + nodeTimeout < clock.now() ? false : await hope;
    return this.#connection.client !== undefined && (this.#upSince ?? -Infinity) >= since;
  }

  uptime(): number {
    const { startedAt } = this.#server;
    return startedAt === undefined ? 0 : this.#options.clock.now() - startedAt;
  }

  subscribe(channel: string, listener: (message: string) => void): () => void {
    return this.#subscriber.subscribe(channel, listener);
  }

  close(): void {
    if (this.#closed) return;
    const closed = new NodeError("unreachable", "closed");
    const failAll = (): void => {
      for (const batch of this.#inFlight.giveUp()) batch.fail(closed);
    };
    failAll();
    // What was started is written, so that a rollback or a release started just now is not lost.
    const client = this.#connection.lastClient;
    if (client !== undefined) while (this.#outbox.size > 0) this.#send(client);
    failAll();
    this.#closed = true;
    this.#subscriber.close();
    this.#connection.close();
    this.#reject(this.#outbox.take(), closed);
    this.#outbox.unwatch();
  }

  #scheduleFlush(): void {
    this.#flushing = true;
    this.#askedAt = this.#options.clock.now();
    this.#startedAt ??= this.#askedAt;
    this.#connection.start();
    // The next-tick queue runs when all promise jobs of this tick are done: everything that was started in
    // the tick is in the batch, and nothing has waited for a timer.
    process.nextTick(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  /** Writes what may be written; what may not waits, and no longer than it should. */
  #flush(): void {
    const { client, undecided, cause } = this.#connection;
    this.#outbox.unwatch();
    if (client !== undefined) {
      const over = this.#outbox.takeUntil(this.#options.clock.now() - LONGEST_QUEUE);
      if (over.length > 0) this.#reject(over, new NodeError("timed-out", TOO_MANY));
      while (this.#outbox.size > 0 && this.#inFlight.calls < MOST_IN_FLIGHT) this.#send(client);
    } else if (undecided) this.#keepWaiting();
    else if (this.#outbox.size > 0) {
      this.#reject(this.#outbox.take(), new NodeError("unreachable", cause));
    }
  }

  /** Nothing can be written: each call waits as long as it would wait for an answer, and at first for the connection. */
  #keepWaiting(): void {
    const { nodeTimeout, firstPatience } = this.#options;
    const { inDoubtSince, lastClient, cause } = this.#connection;
    // What may be executed twice is written to a connection in doubt as well, and once more to its heir.
    const owed = lastClient === undefined ? [] : this.#outbox.takeOwed();
    if (lastClient !== undefined && owed.length > 0) this.#send(lastClient, owed);
    const first = firstPatience ?? Math.max(nodeTimeout, FIRST_CONNECT_PATIENCE);
    const notBefore = this.#upSince === undefined ? (this.#startedAt ?? 0) + first : 0;
    const error =
      inDoubtSince === undefined
        ? new NodeError("unreachable", cause)
        : new NodeError("timed-out", `no answer within ${nodeTimeout} ms`);
    const deadlineOf = ({ askedAt, call }: Pending): number =>
      Math.max(askedAt + nodeTimeout, call.operation.prompt ? 0 : notBefore);
    this.#reject(this.#outbox.takeOverdue(deadlineOf), error);
    this.#outbox.watch(deadlineOf, () => this.#flush());
  }

  #send(client: Redis, pending: readonly Pending[] = this.#outbox.take(LARGEST_BATCH)): void {
    const { program } = this.#options;
    const arranged = arrange(program, pending);
    const batch = this.#inFlight.start(arranged);
    const argv = encodeCalls(program, arranged, this.#server.id);
    // Sent again only if the server did not know the script, hence executed nothing, and while it still matters.
    this.#script
      .run(client, argv, () => !batch.settled)
      .then(
        (replies) => this.#answered(batch, replies),
        (error: unknown) => this.#failed(batch, error),
      );
  }

  #answered(batch: Batch, replies: unknown): void {
    if (!this.#landed(batch)) return;
    const { cause, refused } = batch.answer(replies, this.#server.id);
    this.#owe(refused);
    if (cause === undefined) this.#flush();
    else this.#connection.drop(cause);
  }

  #failed(batch: Batch, error: unknown): void {
    if (!(error instanceof Error) || error.name !== "ReplyError") {
      // What the server did not say is said by the end of the connection, nearly always before.
      const serving = { connected: true, served: true, tls: false };
      if (this.#inFlight.has(batch)) this.#connection.drop(describeEnd(error, serving));
      return;
    }
    if (!this.#landed(batch)) return;
    const reason = refusal(error.message);
    const unfit = reason.failure === "unreachable";
    if (unfit) this.#owe(batch.pending);
    batch.fail(reason);
    if (unfit) this.#connection.drop(reason.message);
    else this.#flush();
  }

  /** The server has answered a batch. False when it was given up before. */
  #landed(batch: Batch): boolean {
    const landed = this.#inFlight.land(batch);
    if (landed) this.#connection.trust();
    return landed;
  }

  #wentUp(server: Server): void {
    const now = this.#options.clock.now();
    this.#server = server;
    this.#upSince = now;
    // Before everything that waits, as they were started before.
    this.#outbox.putFirst(this.#debts.settle(now));
    this.#options.onUp();
    this.#flush();
  }

  #wentDown(cause: string): void {
    const error = new NodeError("unreachable", cause);
    for (const batch of this.#inFlight.giveUp()) {
      this.#owe(batch.pending);
      batch.fail(error);
    }
    // A connection that is up in the place of the lost one is not known yet.
    if (this.#connection.client === undefined) this.#flush();
    this.#options.onDown(cause);
  }

  #reject(pending: readonly Pending[], error: NodeError): void {
    this.#owe(pending);
    tellAll(pending, ({ listener }) => listener.failure(error));
  }

  #owe(pending: readonly Pending[]): void {
    const now = this.#options.clock.now();
    for (const { call } of pending) if (call.operation.owed) this.#debts.add(call, now);
  }
}
