import type { Redis } from "ioredis";
import type { Clock, Timer } from "../clock.ts";
import type { Random } from "../random.ts";
import { Connection, type OpenClient, SILENCE_LIMIT } from "./connection.ts";

/** Longest pause between two attempts to connect, in ms: a master that returns is used again within about a second. */
const LONGEST_RECONNECT_DELAY = 1_000;
/** First pause between two attempts to connect, in ms. */
const SHORTEST_RECONNECT_DELAY = 50;

/**
 * How long the first attempt after a loss or beside a suspect connection may take, in ms: doubled for each that fails, up to
 * {@link SILENCE_LIMIT}. A cut that is over soon may have swallowed it.
 */
const SHORTEST_ATTEMPT = 1_000;

/** What a {@link PersistentConnection} reports to its owner. */
interface PersistentConnectionListener<T> {
  /** Runs on every new connection before it counts as up; a rejection closes it, and another attempt follows. */
  prepare(client: Redis): Promise<T>;
  up(prepared: T): void;
  /** A connection is lost, or could not be made. Runs at each failure; another connection may be up already. */
  down(cause: string): void;
}

/**
 * The way to one master: one {@link Connection} after the other, until it is closed.
 *
 * A connection whose answer is overdue is _suspect_, and a second one is made beside it. The first of the two that answers
 * stays: a half-open connection shows no other sign, and a server that is only slow answers the old connection first.
 */
export class PersistentConnection<T> {
  readonly #open: OpenClient;
  readonly #listener: PersistentConnectionListener<T>;
  readonly #clock: Clock;
  readonly #random: Random;
  #current: Connection<T> | undefined;
  /** A connection that is not ready yet: the first one, the successor of a lost one, or one beside a suspect one. */
  #attempt: Connection<T> | undefined;
  #attemptedAt = -Infinity;
  #failures = 0;
  #wasUp = false;
  #pause: Timer | undefined;
  #reachability: Deferred<boolean> | undefined;
  #suspicion: { readonly since: number; readonly cause: string; readonly limit: Timer } | undefined;
  #cause = "not connected";
  #stage: "idle" | "open" | "closed" = "idle";

  constructor(
    open: OpenClient,
    listener: PersistentConnectionListener<T>,
    clock: Clock,
    random: Random,
  ) {
    this.#open = open;
    this.#listener = listener;
    this.#clock = clock;
    this.#random = random;
  }

  /** The client, if commands can be sent and are likely to be answered. */
  get client(): Redis | undefined {
    return this.#suspicion === undefined ? this.#current?.client : undefined;
  }

  /** As {@link client}, also while the connection is suspect. */
  get lastClient(): Redis | undefined {
    return this.#current?.client;
  }

  /** Why the current connection is suspect. */
  get silence(): string | undefined {
    return this.#suspicion?.cause;
  }

  /** Since when the first attempt to connect is under way; `undefined` once it has ended. */
  get firstAttemptSince(): number | undefined {
    const isFirst = !this.#wasUp && this.#failures === 0 && this.#attempt !== undefined;
    return isFirst ? this.#attemptedAt : undefined;
  }

  /** Since when the current connection is suspect. */
  get suspectSince(): number | undefined {
    return this.#suspicion?.since;
  }

  /**
   * While it is undecided whether the master can be reached: resolves to that. It is undecided before the first attempt, after
   * the loss of a connection and while a connection is suspect, each time until an attempt to connect has ended.
   */
  get reachability(): Promise<boolean> | undefined {
    return this.#reachability?.promise;
  }

  /** Whether requests should wait: there is a connection, perhaps suspect or ending, or an attempt may bring one. */
  get isPending(): boolean {
    return this.#current !== undefined || this.#reachability !== undefined;
  }

  /** Why the connection is not up. */
  get cause(): string {
    const isFirst = this.#reachability !== undefined && this.#failures === 0;
    return (isFirst ? this.#attempt?.missing : undefined) ?? this.#cause;
  }

  /** Connects, and from then on keeps the connection up. Idempotent. */
  start(): void {
    if (this.#stage !== "idle") return;
    this.#stage = "open";
    this.#reachability = new Deferred();
    this.#connect();
  }

  /** An answer is overdue: makes a second connection beside the current one. */
  suspect(cause: string): void {
    if (this.#current === undefined || this.#suspicion !== undefined) return;
    const limit = this.#clock.timer(SILENCE_LIMIT, () =>
      this.drop(`no answer for ${SILENCE_LIMIT / 1_000} s`),
    );
    this.#suspicion = { since: this.#clock.now(), cause, limit };
    this.#reachability = new Deferred();
    this.#connectSoon();
  }

  /** An answer has come: the current connection stays, without a second one. */
  trust(): void {
    if (this.#suspicion === undefined) return;
    this.#failures = 0;
    this.#endSuspicion();
    this.#clock.clearTimer(this.#pause);
    this.#attempt?.end();
    this.#attempt = undefined;
    this.#settle(true);
  }

  /** Ends the current connection, and makes a new one. */
  drop(cause: string): void {
    const current = this.#current;
    if (current === undefined) return;
    current.end({ silent: this.#suspicion !== undefined });
    this.#lost(cause);
  }

  /** Ends everything. Idempotent. */
  close(): void {
    if (this.#stage === "closed") return;
    this.#stage = "closed";
    this.#cause = "closed";
    this.#clock.clearTimer(this.#pause);
    this.#current?.end({ silent: this.#suspicion !== undefined });
    this.#attempt?.end();
    this.#current = this.#attempt = undefined;
    this.#endSuspicion();
    this.#settle(false);
  }

  /** Connects now, or when the pause after the last attempt is over. */
  #connectSoon(): void {
    if (this.#attempt !== undefined) return;
    const grown = SHORTEST_RECONNECT_DELAY * 2 ** Math.min(Math.max(0, this.#failures - 1), 10);
    const jitter = 0.75 + this.#random.fraction() / 4;
    const pause = Math.min(grown, LONGEST_RECONNECT_DELAY) * jitter;
    const wait = this.#attemptedAt + pause - this.#clock.now();
    this.#clock.clearTimer(this.#pause);
    if (wait > 0) this.#pause = this.#clock.timer(wait, () => this.#connect());
    else this.#connect();
  }

  #connect(): void {
    this.#attemptedAt = this.#clock.now();
    const connection: Connection<T> = new Connection<T>(
      this.#open,
      {
        prepare: (client) => this.#listener.prepare(client),
        ready: (prepared) => this.#ready(connection, prepared),
        ended: (cause) => {
          if (connection === this.#current) this.#lost(cause);
          else this.#failed(cause);
        },
      },
      this.#clock,
      // A server that was reached before usually answers at once: what a cut has swallowed is noticed sooner.
      this.#wasUp ? Math.min(SHORTEST_ATTEMPT * 2 ** this.#failures, SILENCE_LIMIT) : SILENCE_LIMIT,
    );
    this.#attempt = connection;
  }

  #ready(connection: Connection<T>, prepared: T): void {
    const old = this.#current;
    const suspicion = this.#suspicion;
    this.#current = connection;
    this.#attempt = undefined;
    this.#failures = 0;
    this.#wasUp = true;
    this.#endSuspicion();
    if (old !== undefined) {
      old.end({ silent: true });
      this.#listener.down(`${suspicion?.cause}, while a new connection was answered`);
    }
    this.#listener.up(prepared);
    this.#settle(true);
  }

  #failed(cause: string): void {
    this.#attempt = undefined;
    this.#failures += 1;
    this.#cause = cause;
    this.#settle(false);
    if (this.#stage === "open") this.#connectSoon();
    if (this.#current === undefined) this.#listener.down(cause);
  }

  #lost(cause: string): void {
    this.#current = undefined;
    this.#cause = cause;
    this.#endSuspicion();
    this.#reachability ??= new Deferred();
    this.#connectSoon();
    this.#listener.down(cause);
  }

  #endSuspicion(): void {
    this.#clock.clearTimer(this.#suspicion?.limit);
    this.#suspicion = undefined;
  }

  #settle(reached: boolean): void {
    const reachability = this.#reachability;
    this.#reachability = undefined;
    reachability?.resolve(reached);
  }
}

/** A promise that is resolved from outside. */
class Deferred<T> {
  resolve!: (value: T) => void;
  readonly promise = new Promise<T>((resolve) => {
    this.resolve = resolve;
  });
}
