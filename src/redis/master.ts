import type { Redis } from "ioredis";
import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import { Batch } from "./batch.ts";
import type { Endpoint } from "./endpoint.ts";
import { InFlight, type Sent } from "./in-flight.ts";
import { describeEnd, NodeError, toConnectionError, toNodeError } from "./node-error.ts";
import type { BatchListener, NodePort } from "./node-port.ts";
import type { AnyRequest } from "./operation.ts";
import { Outbox, type Waiting } from "./outbox.ts";
import { PersistentConnection } from "./persistent-connection.ts";
import { Script, type ScriptSource } from "./script.ts";
import { prepareServer, type ServerProcess } from "./server-info.ts";
import { Subscriber } from "./subscriber.ts";

/** Keys in flight from which on no more are written: enough to keep a master busy, few enough to be answered in time. */
const MOST_IN_FLIGHT = 512;
/** Milliseconds that requests wait for the first connection by default, unless `nodeTimeout` is longer. */
const FIRST_CONNECT_PATIENCE = 2_000;
/** Keys that wait to be written at most: some 5 KB each, so that a slow master costs no more than half a gigabyte. */
const MOST_WAITING = 100_000;
/** Milliseconds that a batch waits at most until it is written, while the master answers those before it. */
const LONGEST_QUEUE = 10_000;

/** What a {@link Master} needs. */
export interface MasterOptions {
  endpoint: Endpoint;
  script: ScriptSource;
  /** Milliseconds the master has to answer. */
  nodeTimeout: number;
  /** Milliseconds that requests wait for the first connection. Default 2000, or `nodeTimeout` if that is longer. */
  firstPatience?: number;
  /** Largest difference, in ms, between the master's clock and ours. */
  farthestClock: number;
  clock: Clock;
  random: Random;
  onUp(): void;
  onDown(cause: string): void;
}

/** One lock master over ioredis. Every batch has a deadline, because ioredis has none. */
export class Master implements NodePort {
  readonly name: string;
  readonly #options: MasterOptions;
  readonly #connection: PersistentConnection<ServerProcess>;
  readonly #script: Script;
  readonly #subscriber: Subscriber;
  readonly #outbox: Outbox;
  readonly #inFlight: InFlight;
  /** Batches in the outbox whose releases were already written to a suspect connection. */
  readonly #written = new WeakSet<Batch>();
  #closed = false;
  #server: ServerProcess = { id: "", startedAt: undefined };
  /** Names the server process to the script; see {@link Script.run}. */
  #known = "";
  #startedAt: number | undefined;
  #upSince: number | undefined;

  constructor(options: MasterOptions) {
    const { endpoint, nodeTimeout, clock, random } = options;
    this.name = endpoint.name;
    this.#options = options;
    this.#script = new Script(options.script);
    this.#outbox = new Outbox(clock);
    this.#inFlight = new InFlight(clock, nodeTimeout, () => {
      this.#connection.suspect(`no answer within ${nodeTimeout} ms`);
      this.#flush();
    });
    this.#connection = new PersistentConnection(
      endpoint.connect,
      {
        prepare: (client) => prepareServer(client, this.#script, endpoint.db, options),
        up: (server) => this.#wentUp(server),
        down: (cause) => this.#wentDown(cause),
      },
      clock,
      random,
    );
    this.#subscriber = new Subscriber(endpoint.connect, nodeTimeout, clock, random);
  }

  send(batch: Batch, listener: BatchListener): void {
    const { client } = this.#connection;
    // The usual case.
    if (client !== undefined && this.#outbox.isEmpty && this.#inFlight.size < MOST_IN_FLIGHT) {
      return this.#send(client, batch, listener);
    }
    const askedAt = this.#options.clock.now();
    if (this.#outbox.size >= MOST_WAITING) {
      const full = tooMany(`${MOST_WAITING.toLocaleString("en")} keys wait to be sent`);
      queueMicrotask(() => this.#reject([{ batch, listener, askedAt }], full));
      return;
    }
    this.#startedAt ??= askedAt;
    this.#connection.start();
    this.#outbox.add({ batch, listener, askedAt });
    if (client !== undefined) this.#flush();
    else queueMicrotask(() => this.#flush());
  }

  async recovers(since: number): Promise<boolean> {
    const { clock, nodeTimeout } = this.#options;
    const { reachability, suspectSince = Infinity } = this.#connection;
    // A connection that was suspect before is an outage; only the first requests that meet it wait for its end.
    if (reachability !== undefined) {
      return suspectSince + nodeTimeout < clock.now() ? false : await reachability;
    }
    return this.#connection.client !== undefined && (this.#upSince ?? -Infinity) >= since;
  }

  get silence(): string | undefined {
    const { clock, nodeTimeout } = this.#options;
    const { silence, cause, firstAttemptSince = Infinity } = this.#connection;
    return silence ?? (clock.now() - firstAttemptSince > nodeTimeout ? cause : undefined);
  }

  uptime(): number {
    const { startedAt } = this.#server;
    return startedAt === undefined ? 0 : this.#options.clock.now() - startedAt;
  }

  subscribe(channel: string, listener: (message: string) => void): void {
    this.#subscriber.subscribe(channel, listener);
  }

  close(): void {
    if (this.#closed) return;
    const closed = new NodeError("unreachable", "closed");
    const failInFlight = (): void => {
      for (const { listener, overdue } of this.#inFlight.takeAll()) {
        if (!overdue) listener.failure(closed);
      }
    };
    failInFlight();
    // A rollback or a release that was started just now must not be lost.
    const client = this.#connection.lastClient;
    if (client !== undefined) while (!this.#outbox.isEmpty) this.#sendFirst(client);
    failInFlight();
    this.#closed = true;
    this.#subscriber.close();
    this.#connection.close();
    this.#reject(this.#outbox.takeUntil(), closed);
    this.#outbox.unwatch();
  }

  /** Writes the batches that can be written; the others wait, or are rejected when there is nothing to wait for. */
  #flush(): void {
    this.#outbox.unwatch();
    if (this.#outbox.isEmpty) return;
    const { client, isPending, cause } = this.#connection;
    if (client !== undefined) {
      const overdue = this.#outbox.takeUntil(this.#options.clock.now() - LONGEST_QUEUE);
      if (overdue.length > 0)
        this.#reject(overdue, tooMany(`not sent within ${LONGEST_QUEUE / 1_000} s`));
      while (!this.#outbox.isEmpty && this.#inFlight.size < MOST_IN_FLIGHT) this.#sendFirst(client);
    } else if (isPending) this.#keepWaiting();
    else this.#reject(this.#outbox.takeUntil(), toConnectionError(cause));
  }

  /** Without a usable connection each batch waits for one node timeout, and longer for the very first connection. */
  #keepWaiting(): void {
    const { nodeTimeout, firstPatience } = this.#options;
    const { suspectSince, lastClient, cause } = this.#connection;
    if (lastClient !== undefined) this.#sendReleases(lastClient);
    const patience = firstPatience ?? Math.max(nodeTimeout, FIRST_CONNECT_PATIENCE);
    const notBefore = this.#upSince === undefined ? (this.#startedAt ?? 0) + patience : 0;
    const error =
      suspectSince === undefined
        ? toConnectionError(cause)
        : new NodeError("timed-out", `no answer within ${nodeTimeout} ms`);
    const deadlineOf = ({ askedAt, batch }: Waiting): number =>
      Math.max(askedAt + nodeTimeout, batch.isPrompt ? 0 : notBefore);
    this.#reject(this.#outbox.takeOverdue(deadlineOf), error);
    this.#outbox.watch(deadlineOf, () => this.#flush());
  }

  /** Releases may be executed twice, so they are written to a suspect connection too, and later to its successor. */
  #sendReleases(client: Redis): void {
    const releases: AnyRequest[] = [];
    for (const { batch } of this.#outbox) {
      if (this.#written.has(batch)) continue;
      this.#written.add(batch);
      for (const request of batch.requests) {
        if (request.operation.repeatable) releases.push(request);
      }
    }
    if (releases.length > 0) this.#send(client, new Batch(releases), IGNORED);
  }

  #sendFirst(client: Redis): void {
    const waiting = this.#outbox.takeFirst();
    if (waiting !== undefined) this.#send(client, waiting.batch, waiting.listener);
  }

  #send(client: Redis, batch: Batch, listener: BatchListener): void {
    const sent = this.#inFlight.start(batch, listener);
    this.#script
      .run(client, batch, this.#known, () => !sent.overdue)
      .then(
        (returned) => this.#answered(sent, returned),
        (error: unknown) => this.#failed(sent, error),
      );
  }

  #answered(sent: Sent, returned: unknown): void {
    if (!this.#end(sent)) return;
    if (typeof returned === "string") this.#known = returned;
    const { batch, listener, sentAt, overdue } = sent;
    const replies = batch.replies(returned);
    let cause: string | undefined;
    for (const [index, reply] of replies?.entries() ?? []) {
      if (!(reply instanceof NodeError) || reply.failure !== "unreachable") continue;
      cause = reply.message;
      this.#outbox.keepReleases(batch.requests.slice(index, index + 1));
    }
    if (overdue) listener.late(replies, sentAt, this.#server.id);
    else listener.answer(replies, sentAt, this.#server.id);
    if (cause === undefined) this.#flush();
    else this.#connection.drop(cause);
  }

  #failed(sent: Sent, error: unknown): void {
    if (!(error instanceof Error) || error.name !== "ReplyError") {
      // The end of the connection is usually reported before, with a better cause.
      const serving = { connected: true, served: true, tls: false };
      if (this.#inFlight.has(sent)) this.#connection.drop(describeEnd(error, serving));
      return;
    }
    if (!this.#end(sent)) return;
    const reason = toNodeError(error.message);
    const isUnusable = reason.failure === "unreachable";
    if (isUnusable) this.#outbox.keepReleases(sent.batch.requests);
    if (!sent.overdue) sent.listener.failure(reason);
    if (isUnusable) this.#connection.drop(reason.message);
    else this.#flush();
  }

  /** The server has answered a batch. False when the batch was taken out before. */
  #end(sent: Sent): boolean {
    const ended = this.#inFlight.end(sent);
    if (ended) this.#connection.trust();
    return ended;
  }

  #wentUp(server: ServerProcess): void {
    this.#server = server;
    this.#known = server.id;
    this.#upSince = this.#options.clock.now();
    this.#outbox.repeatReleases(IGNORED);
    this.#options.onUp();
    this.#flush();
  }

  #wentDown(cause: string): void {
    const error = new NodeError("unreachable", cause);
    for (const { batch, listener, overdue } of this.#inFlight.takeAll()) {
      this.#outbox.keepReleases(batch.requests);
      if (!overdue) listener.failure(error);
    }
    // `up` follows when a second connection has replaced a suspect one.
    if (this.#connection.client === undefined) this.#flush();
    this.#options.onDown(cause);
  }

  #reject(waiting: readonly Waiting[], error: NodeError): void {
    for (const { batch, listener } of waiting) {
      this.#outbox.keepReleases(batch.requests);
      listener.failure(error);
    }
  }
}

const IGNORED: BatchListener = { answer: () => {}, failure: () => {}, late: () => {} };

function tooMany(what: string): NodeError {
  return new NodeError("timed-out", `${what}: this process asks for more than can be answered`);
}
