import type { Clock } from "../clock.ts";
import { askNode, NodeError } from "../redis/node-port.ts";
import type { Masters } from "./masters.ts";
import type { AcquireReply } from "./acquiring.ts";
import type { ExtendReply } from "./extending.ts";
import { armOperation } from "./arming.ts";
import { type Names, RENEWED } from "./stored.ts";

/**
 * What keeps a master that has lost its memory from voting for a second holder.
 *
 * Redlock's own advice is to keep a restarted master down for longer than the longest ttl. The guard does it on
 * the master itself, atomically with each vote: a key that names the server process which was armed. When it is
 * missing (empty restart, FLUSHALL) or names another process (restart with old data, failover), the master gives no
 * vote until it is armed again, and then not for the quarantine: until every lock it may have forgotten is over.
 *
 * A wholly new set of masters has nothing to forget. It is trusted at once when no master has a guard, this client has
 * never met one there, and all have been up for the quarantine; otherwise it waits like any other.
 */
export interface GuardSettings {
  /** `"trust-new"` trusts a wholly new set whatever its uptime; `false` votes without guards. */
  readonly mode: boolean | "trust-new";
  /** Milliseconds: the longest ttl this client may ask for. */
  readonly maxTtl: number;
  readonly driftFactor: number;
  readonly nodeTimeout: number;
  /** Milliseconds by which clients' clocks may differ for tokens to stay ordered over a loss of all marks. */
  readonly clockSkewBudget: number;
}

/**
 * How long a master that lost its memory gives no vote: until the longest lock is over by the slowest clock, plus what
 * keeps tokens in order although the marks are gone.
 */
function quarantineOf(
  longestTtl: number,
  { driftFactor, nodeTimeout, clockSkewBudget }: GuardSettings,
): number {
  return Math.ceil(longestTtl * (1 + 2 * driftFactor)) + nodeTimeout + clockSkewBudget;
}

/** Hears of masters that give no vote for a while. */
export interface QuarantineListener {
  /** A master gives no vote for so many milliseconds. */
  quarantined(node: number, remaining: number): void;
  /** So many give none that no lock can be had for so many milliseconds. Said once for each such time. */
  noQuorum(nodes: readonly number[], remaining: number): void;
}

interface GuardState {
  /** Since when the master says that it has no guard; `undefined` when it has one, or has not been asked. */
  absentSince: number | undefined;
  /** When we named our longest ttl last. */
  namedAt: number;
  /** The longest ttl that the master has been told of. */
  longestTtl: number;
  quarantinedUntil: number;
  arming: Promise<void> | undefined;
  /** Why it could not be armed last; `undefined` when it was. */
  failure: string | undefined;
}

function describeArming(error: unknown): string {
  if (!(error instanceof NodeError)) return `the guard was not stored: ${String(error)}`;
  return error.failure === "refused"
    ? `the guard was refused: ${error.message}`
    : `the guard was not confirmed: ${error.message}`;
}

/** The guards of all masters, as one client sees and arms them. */
export class Guards {
  readonly #masters: Masters;
  readonly #names: Names;
  readonly #clock: Clock;
  readonly #settings: GuardSettings;
  readonly #listener: QuarantineListener;
  readonly #states: GuardState[];
  /** Whether we have met a guard on any master: a set that then has none is not new, it was flushed. */
  #metGuard = false;
  /** Until when it is known that there is no quorum. */
  #noQuorumUntil = -Infinity;

  constructor(
    masters: Masters,
    names: Names,
    clock: Clock,
    settings: GuardSettings,
    listener: QuarantineListener,
  ) {
    this.#masters = masters;
    this.#names = names;
    this.#clock = clock;
    this.#settings = settings;
    this.#listener = listener;
    this.#states = masters.ports.map(() => ({
      absentSince: undefined,
      namedAt: -Infinity,
      longestTtl: 0,
      quarantinedUntil: -Infinity,
      arming: undefined,
      failure: undefined,
    }));
  }

  /** Whether votes look at the guard. */
  get enabled(): boolean {
    return this.#settings.mode !== false;
  }

  /** Takes note of what a master said, and arms it when it must be. */
  heard(node: number, reply: AcquireReply | ExtendReply): void {
    const state = this.#states[node];
    if (!this.enabled || state === undefined) return;
    if (reply.status === "unarmed" && reply.guard === "absent") {
      state.absentSince ??= this.#clock.now();
      this.#armAbsent(node, state.absentSince);
      return;
    }
    this.#metGuard = true;
    state.absentSince = undefined;
    if (reply.status === "unarmed" || reply.status === "too long") this.#arm(node, false);
    else if (this.#clock.now() - state.namedAt > RENEWED) this.#arm(node, false);
    if (reply.status === "quarantined" && "remaining" in reply) {
      this.#noteQuarantine(node, reply.remaining);
    }
  }

  /** Waits for masters that are being armed. Resolves to false when there were none. */
  async settled(): Promise<boolean> {
    const arming = this.#states.flatMap(({ arming }) => arming ?? []);
    await Promise.all(arming);
    return arming.length > 0;
  }

  /** Why a master could not be armed: the reason why it gives no vote. */
  failureOf(node: number): string | undefined {
    return this.#states[node]?.failure;
  }

  #armAbsent(node: number, absentSince: number): void {
    const recent = this.#clock.now() - 2 * this.#settings.nodeTimeout;
    if (this.#states.every(({ absentSince = -Infinity }) => absentSince >= recent)) {
      for (const each of this.#states.keys()) this.#arm(each, this.#mayTrust());
      // Another client may be arming a new set right now: its word takes a moment to get here.
    } else if (this.#clock.now() - absentSince >= 2 * this.#settings.nodeTimeout) {
      this.#arm(node, false);
    }
  }

  /** Whether a set without any guard has nothing to forget. */
  #mayTrust(): boolean {
    if (this.#metGuard) return false;
    if (this.#settings.mode === "trust-new") return true;
    const quarantine = this.#quarantine();
    return this.#masters.ports.every((port) => port.uptime() >= quarantine);
  }

  #arm(node: number, trust: boolean): void {
    const state = this.#states[node];
    const port = this.#masters.ports[node];
    if (state === undefined || port === undefined || state.arming !== undefined) return;
    const arming = {
      names: this.#names,
      quarantine: this.#quarantine(),
      longestTtl: this.#settings.maxTtl,
      trust,
    };
    state.arming = askNode(port, armOperation, arming)
      .then(({ reply }) => {
        this.#metGuard = true;
        state.failure = undefined;
        state.absentSince = undefined;
        state.namedAt = this.#clock.now();
        state.longestTtl = reply.longestTtl;
        this.#noteQuarantine(node, reply.remaining);
      })
      // It stays as it is, and gives no vote, which says why; the next that asks it arms it.
      .catch((error: unknown) => {
        state.failure = describeArming(error);
      })
      .finally(() => {
        state.arming = undefined;
      });
  }

  /** By the longest ttl that any master knows of: others may hold locks longer than ours. */
  #quarantine(): number {
    const known = this.#states.map(({ longestTtl }) => longestTtl);
    return quarantineOf(Math.max(this.#settings.maxTtl, ...known), this.#settings);
  }

  #noteQuarantine(node: number, remaining: number): void {
    const state = this.#states[node];
    if (remaining <= 0 || state === undefined) return;
    const now = this.#clock.now();
    const known = state.quarantinedUntil > now;
    state.quarantinedUntil = now + remaining;
    if (!known) this.#listener.quarantined(node, remaining);
    this.#lookForQuorum(now);
  }

  #lookForQuorum(now: number): void {
    const ends = this.#states.map(({ quarantinedUntil }) => quarantinedUntil);
    // As many as are needed have to be back.
    const until = ends.toSorted((a, b) => a - b)[this.#masters.quorum - 1] ?? -Infinity;
    if (until <= now || this.#noQuorumUntil > now) return;
    this.#noQuorumUntil = until;
    const nodes = [...ends.keys()].filter((node) => (ends[node] ?? now) > now);
    this.#listener.noQuorum(nodes, until - now);
  }
}
