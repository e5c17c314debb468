import type { Redis } from "ioredis";
import type { Clock, Timer } from "../clock.ts";
import type { Random } from "../random.ts";
import { Link, type OpenClient, SILENCE_LIMIT } from "./link.ts";

/** Longest pause between two attempts to connect, in ms: a master that returns is used again within about a second. */
const LONGEST_RECONNECT_DELAY = 1_000;
/** First pause between two attempts to connect, in ms. */
const SHORTEST_RECONNECT_DELAY = 50;

/** What a {@link Connection} needs from its owner. */
export interface ConnectionHooks<T> {
  /** Runs on every new connection before it counts as up; a rejection closes it, and another is tried. */
  prepare(client: Redis): Promise<T>;
  up(prepared: T): void;
  /** The connection is gone, or could not be made. Called at each failure; another may be up in its place already. */
  down(cause: string): void;
}

/**
 * A connection to one master, kept up until it is closed.
 *
 * One that its owner doubts, because an answer is overdue, gets a second one beside it. The first that answers stays: a flow
 * that was forgotten on the way is noticed by no other sign, and a server that is only slow answers the old one first.
 */
export class Connection<T> {
  readonly #open: OpenClient;
  readonly #hooks: ConnectionHooks<T>;
  readonly #clock: Clock;
  readonly #random: Random;
  #current: Link<T> | undefined;
  /** A link that is not ready yet: the first, one in the place of a lost one, or one beside one in doubt. */
  #attempt: Link<T> | undefined;
  #attemptedAt = -Infinity;
  #failures = 0;
  #pause: Timer | undefined;
  #hope: Hope | undefined;
  #doubt: { readonly since: number; readonly cause: string; readonly limit: Timer } | undefined;
  #cause = "not connected";
  #stage: "idle" | "open" | "closed" = "idle";

  constructor(open: OpenClient, hooks: ConnectionHooks<T>, clock: Clock, random: Random) {
    this.#open = open;
    this.#hooks = hooks;
    this.#clock = clock;
    this.#random = random;
  }

  /** The client, if commands can be sent and are likely to be answered. */
  get client(): Redis | undefined {
    return this.#doubt === undefined ? this.#current?.client : undefined;
  }

  /** As {@link client}, also while the connection is in doubt. */
  get lastClient(): Redis | undefined {
    return this.#current?.client;
  }

  /** Since when the connection in use is in doubt. */
  get inDoubtSince(): number | undefined {
    return this.#doubt?.since;
  }

  /**
   * While it is open whether the master can be reached: resolves to that. So it is at first, when a connection was lost,
   * and in doubt, each time until an attempt to connect has ended.
   */
  get hope(): Promise<boolean> | undefined {
    return this.#hope?.outcome;
  }

  /** Whether it is worth while to wait: there is a connection, though it may be in doubt or ending, or hope for one. */
  get undecided(): boolean {
    return this.#current !== undefined || this.#hope !== undefined;
  }

  /** Why the connection is not up. */
  get cause(): string {
    const first = this.#hope !== undefined && this.#failures === 0 ? this.#attempt : undefined;
    return first?.missing ?? this.#cause;
  }

  /** Connects, once; from then on the connection is kept up. */
  start(): void {
    if (this.#stage !== "idle") return;
    this.#stage = "open";
    this.#hope = new Hope();
    this.#connect();
  }

  /** An answer is overdue: a second connection is tried beside this one. */
  suspect(cause: string): void {
    if (this.#current === undefined || this.#doubt !== undefined) return;
    const limit = this.#clock.timer(SILENCE_LIMIT, () =>
      this.drop(`no answer for ${SILENCE_LIMIT / 1_000} s`),
    );
    this.#doubt = { since: this.#clock.now(), cause, limit };
    this.#hope = new Hope();
    this.#connectSoon();
  }

  /** An answer has come: the connection lives, and needs no second one. */
  trust(): void {
    if (this.#doubt === undefined) return;
    this.#endDoubt();
    this.#clock.clearTimer(this.#pause);
    this.#attempt?.end();
    this.#attempt = undefined;
    this.#settle(true);
  }

  /** Gives the connection up, and makes a new one. */
  drop(cause: string): void {
    const current = this.#current;
    if (current === undefined) return;
    current.end({ silent: this.#doubt !== undefined });
    this.#lost(cause);
  }

  /** Ends everything. Idempotent. */
  close(): void {
    if (this.#stage === "closed") return;
    this.#stage = "closed";
    this.#cause = "closed";
    this.#clock.clearTimer(this.#pause);
    this.#current?.end({ silent: this.#doubt !== undefined });
    this.#attempt?.end();
    this.#current = this.#attempt = undefined;
    this.#endDoubt();
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
    const link: Link<T> = new Link<T>(
      this.#open,
      {
        prepare: (client) => this.#hooks.prepare(client),
        ready: (prepared) => this.#ready(link, prepared),
        ended: (cause) => {
          if (link === this.#current) this.#lost(cause);
          else this.#failed(cause);
        },
      },
      this.#clock,
    );
    this.#attempt = link;
  }

  #ready(link: Link<T>, prepared: T): void {
    const old = this.#current;
    const doubt = this.#doubt;
    this.#current = link;
    this.#attempt = undefined;
    this.#failures = 0;
    this.#endDoubt();
    if (old !== undefined) {
      old.end({ silent: true });
      this.#hooks.down(`${doubt?.cause}, while a new connection was answered`);
    }
    this.#hooks.up(prepared);
    this.#settle(true);
  }

  #failed(cause: string): void {
    this.#attempt = undefined;
    this.#failures += 1;
    this.#cause = cause;
    this.#settle(false);
    if (this.#stage === "open") this.#connectSoon();
    if (this.#current === undefined) this.#hooks.down(cause);
  }

  #lost(cause: string): void {
    this.#current = undefined;
    this.#cause = cause;
    this.#endDoubt();
    // An attempt that is under way may have begun long ago.
    this.#hope ??= new Hope();
    this.#connectSoon();
    this.#hooks.down(cause);
  }

  #endDoubt(): void {
    this.#clock.clearTimer(this.#doubt?.limit);
    this.#doubt = undefined;
  }

  #settle(reached: boolean): void {
    const hope = this.#hope;
    this.#hope = undefined;
    hope?.settle(reached);
  }
}

/** A question whose answer several may wait for. */
class Hope {
  settle!: (reached: boolean) => void;
  readonly outcome = new Promise<boolean>((resolve) => {
    this.settle = resolve;
  });
}
