import type { Redis } from "ioredis";
import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import { Batch, refusal } from "./batch.ts";
import { describeEnd } from "./causes.ts";
import { Connection } from "./connection.ts";
import { PendingReleases } from "./pending-releases.ts";
import type { Endpoint } from "./endpoint.ts";
import { prepareServer, type Server } from "./first-commands.ts";
import { InFlight, type Sent } from "./in-flight.ts";
import { NodeError } from "./node-error.ts";
import type { BatchListener, NodePort } from "./node-port.ts";
import type { AnyRequest, ScriptSource } from "./operation.ts";
import { Outbox, type Waiting } from "./outbox.ts";
import { Script } from "./script.ts";
import { Subscriber } from "./subscriber.ts";

/** Calls that may be unanswered before no more are written: enough to keep a master busy, few enough to be answered in time. */
const MOST_IN_FLIGHT = 512;
/** Milliseconds that calls wait for the very first connection, unless somebody says or the node's deadline is longer. */
const FIRST_CONNECT_PATIENCE = 2_000;
/** Milliseconds that a call waits at most until it is written, while the master answers the calls before it. */
const LONGEST_QUEUE = 10_000;

const TOO_MANY = `not sent within ${LONGEST_QUEUE / 1_000} s: this process asks for more than can be answered`;

/** What a {@link Master} needs. */
export interface MasterOptions {
  endpoint: Endpoint;
  program: ScriptSource;
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
 * One lock master over ioredis. Every batch has a deadline of its own making, because ioredis has none.
 */
export class Master implements NodePort {
  readonly name: string;
  readonly #options: MasterOptions;
  readonly #connection: Connection<Server>;
  readonly #script: Script;
  readonly #subscriber: Subscriber;
  readonly #outbox: Outbox;
  readonly #inFlight: InFlight;
  readonly #pendingReleases = new PendingReleases();
  /** Waiting batches whose owed calls were written to a connection in doubt. */
  readonly #doubled = new WeakSet<Batch>();
  #closed = false;
  #server: Server = { id: "", startedAt: undefined };
  #startedAt: number | undefined;
  #upSince: number | undefined;

  constructor(options: MasterOptions) {
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

  send(batch: Batch, listener: BatchListener): void {
    const askedAt = this.#options.clock.now();
    this.#startedAt ??= askedAt;
    this.#connection.start();
    this.#outbox.add({ batch, listener, askedAt });
    if (this.#connection.client !== undefined) this.#flush();
    else queueMicrotask(() => this.#flush());
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
      for (const { listener, overdue } of this.#inFlight.giveUp()) {
        if (!overdue) listener.failure(closed);
      }
    };
    failAll();
    // What was started is written, so that a rollback or a release started just now is not lost.
    const client = this.#connection.lastClient;
    if (client !== undefined) while (!this.#outbox.isEmpty) this.#sendFirst(client);
    failAll();
    this.#closed = true;
    this.#subscriber.close();
    this.#connection.close();
    this.#reject(this.#outbox.takeUntil(), closed);
    this.#outbox.unwatch();
  }

  /** Writes what may be written; what may not waits, and no longer than it should. */
  #flush(): void {
    const { client, undecided, cause } = this.#connection;
    this.#outbox.unwatch();
    if (client !== undefined) {
      const over = this.#outbox.takeUntil(this.#options.clock.now() - LONGEST_QUEUE);
      if (over.length > 0) this.#reject(over, new NodeError("timed-out", TOO_MANY));
      while (!this.#outbox.isEmpty && this.#inFlight.calls < MOST_IN_FLIGHT)
        this.#sendFirst(client);
    } else if (undecided) this.#keepWaiting();
    else if (!this.#outbox.isEmpty) {
      this.#reject(this.#outbox.takeUntil(), new NodeError("unreachable", cause));
    }
  }

  /** Nothing can be written: each batch waits as long as it would wait for an answer, and at first for the connection. */
  #keepWaiting(): void {
    const { nodeTimeout, firstPatience } = this.#options;
    const { inDoubtSince, lastClient, cause } = this.#connection;
    if (lastClient !== undefined) this.#sendOwed(lastClient);
    const first = firstPatience ?? Math.max(nodeTimeout, FIRST_CONNECT_PATIENCE);
    const notBefore = this.#upSince === undefined ? (this.#startedAt ?? 0) + first : 0;
    const error =
      inDoubtSince === undefined
        ? new NodeError("unreachable", cause)
        : new NodeError("timed-out", `no answer within ${nodeTimeout} ms`);
    const deadlineOf = ({ askedAt, batch }: Waiting): number =>
      Math.max(askedAt + nodeTimeout, batch.isPrompt ? 0 : notBefore);
    this.#reject(this.#outbox.takeOverdue(deadlineOf), error);
    this.#outbox.watch(deadlineOf, () => this.#flush());
  }

  /** What may be executed twice is written to a connection in doubt as well, once, and once more to its heir. */
  #sendOwed(client: Redis): void {
    const owed: AnyRequest[] = [];
    for (const { batch } of this.#outbox) {
      if (this.#doubled.has(batch)) continue;
      this.#doubled.add(batch);
      for (const call of batch.calls) if (call.operation.owed) owed.push(call);
    }
    if (owed.length > 0) this.#send(client, new Batch(owed), SILENT);
  }

  #sendFirst(client: Redis): void {
    const waiting = this.#outbox.takeFirst();
    if (waiting !== undefined) this.#send(client, waiting.batch, waiting.listener);
  }

  #send(client: Redis, batch: Batch, listener: BatchListener): void {
    const sent = this.#inFlight.start(batch, listener);
    // Sent again only if the server did not know the script, hence executed nothing, and while it still matters.
    this.#script
      .run(client, batch, this.#server.id, () => !sent.overdue)
      .then(
        (returned) => this.#answered(sent, returned),
        (error: unknown) => this.#failed(sent, error),
      );
  }

  #answered(sent: Sent, returned: unknown): void {
    if (!this.#landed(sent)) return;
    const { batch, listener, sentAt, overdue } = sent;
    const replies = batch.replies(returned);
    let cause: string | undefined;
    // Nearly always all are served.
    if (returned !== 1) {
      for (const [index, reply] of replies.entries()) {
        if (!(reply instanceof NodeError) || reply.failure !== "unreachable") continue;
        cause = reply.message;
        this.#owe(batch.calls.slice(index, index + 1));
      }
    }
    if (overdue) listener.late(replies, sentAt, this.#server.id);
    else listener.answer(replies, sentAt, this.#server.id);
    if (cause === undefined) this.#flush();
    else this.#connection.drop(cause);
  }

  #failed(sent: Sent, error: unknown): void {
    if (!(error instanceof Error) || error.name !== "ReplyError") {
      // What the server did not say is said by the end of the connection, nearly always before.
      const serving = { connected: true, served: true, tls: false };
      if (this.#inFlight.has(sent)) this.#connection.drop(describeEnd(error, serving));
      return;
    }
    if (!this.#landed(sent)) return;
    const reason = refusal(error.message);
    const unfit = reason.failure === "unreachable";
    if (unfit) this.#owe(sent.batch.calls);
    if (!sent.overdue) sent.listener.failure(reason);
    if (unfit) this.#connection.drop(reason.message);
    else this.#flush();
  }

  /** The server has answered a batch. False when it was given up before. */
  #landed(sent: Sent): boolean {
    const landed = this.#inFlight.land(sent);
    if (landed) this.#connection.trust();
    return landed;
  }

  #wentUp(server: Server): void {
    const now = this.#options.clock.now();
    this.#server = server;
    this.#upSince = now;
    // Before everything that waits, as they were started before.
    const pendingReleases = this.#pendingReleases.settle(now);
    if (pendingReleases.length > 0) this.#outbox.putFirst(new Batch(pendingReleases), SILENT);
    this.#options.onUp();
    this.#flush();
  }

  #wentDown(cause: string): void {
    const error = new NodeError("unreachable", cause);
    for (const { batch, listener, overdue } of this.#inFlight.giveUp()) {
      this.#owe(batch.calls);
      if (!overdue) listener.failure(error);
    }
    // A connection that is up in the place of the lost one is not known yet.
    if (this.#connection.client === undefined) this.#flush();
    this.#options.onDown(cause);
  }

  #reject(waiting: readonly Waiting[], error: NodeError): void {
    for (const { batch, listener } of waiting) {
      this.#owe(batch.calls);
      listener.failure(error);
    }
  }

  #owe(calls: readonly AnyRequest[]): void {
    const now = this.#options.clock.now();
    for (const call of calls) if (call.operation.owed) this.#pendingReleases.add(call, now);
  }
}

/** For a batch whose outcome is not needed. */
const SILENT: BatchListener = { answer: () => {}, failure: () => {}, late: () => {} };
