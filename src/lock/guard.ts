import type { Clock } from "../clock.ts";
import { pause } from "../pause.ts";
import { NodeError } from "../redis/node-error.ts";
import { askNode } from "../redis/node-port.ts";
import type { Operation } from "../redis/operation.ts";
import type { AcquireReply } from "./acquire-operation.ts";
import { isStuck, nextStep, type RegisterReply } from "./agreement.ts";
import { agreeOperation, armOperation, type GuardState } from "./arm-operation.ts";
import type { ExtendReply } from "./extend-operation.ts";
import type { Masters } from "./masters.ts";
import { type GuardSettings, patienceOf, quarantineOf } from "./guard-settings.ts";
import { type QuarantineListener, Quarantines } from "./quarantines.ts";
import type { Names } from "./stored-lock.ts";

/** Receives reports on masters without a vote, and on clients whose settings differ. */
interface GuardListener extends QuarantineListener {
  /** Masters that have forgotten their locks wait for the silent ones, for `remaining` ms at most. Called once each time. */
  stuck(silent: readonly number[], remaining: number): void;
  /** The masters know another longest ttl than ours. Called once. */
  otherMaxTtl(known: number): void;
}

/** Most times that all masters are asked before the next vote starts the agreement anew. */
const MOST_PASSES = 8;

/**
 * The guards of all masters, as one client sees and arms them. A guard keeps a master that has lost its memory from voting for a
 * second holder.
 *
 * Redlock's own advice is to keep a restarted master down for longer than the longest ttl. The guard does it on
 * the master itself, atomically with each vote: a key that names the server which was armed. When it is missing (empty
 * restart, FLUSHALL) or names another server (restart with old data, failover, promotion), the master gives no vote until
 * it is armed again and its quarantine is over: until every lock that it may have forgotten has ended. All masters agree on
 * how long locks can be, see `agreement.ts`.
 *
 * A wholly new set of masters has nothing to forget. It is trusted at once when no master had a guard, this client has
 * never met one there, and all have been up for the quarantine; otherwise it waits like any other.
 * @see https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/ ("Performance, Crash Recovery and fsync")
 */
export class Guards {
  readonly #masters: Masters;
  readonly #names: Names;
  readonly #clock: Clock;
  readonly #settings: GuardSettings;
  readonly #listener: GuardListener;
  readonly #quarantines: Quarantines;
  /** For each master that gave no vote because of its guard: the ttl up to which it should vote. */
  readonly #barred = new Map<number, number>();
  /** Why the last arming of a master failed. */
  readonly #failures = new Map<number, string>();
  /** The longest ttl that this client wants to ask for, or knows of. */
  #longestTtl: number;
  readonly #closing = new AbortController();
  #settling: Promise<void> | undefined;
  #armed = 0;
  #introduced = false;
  /** Whether this client has met a guard on any master: a set that then has none is not new, it was flushed. */
  #metGuard = false;
  #reportedStuck = false;
  #otherMaxTtl: number | undefined;

  constructor(
    masters: Masters,
    names: Names,
    clock: Clock,
    settings: GuardSettings,
    listener: GuardListener,
  ) {
    this.#masters = masters;
    this.#names = names;
    this.#clock = clock;
    this.#settings = settings;
    this.#listener = listener;
    this.#quarantines = new Quarantines(masters.ports.length, masters.quorum, clock, listener);
    this.#longestTtl = settings.maxTtl;
  }

  /** Whether votes depend on the guards. */
  get enabled(): boolean {
    return this.#settings.mode !== false;
  }

  /** Counts how often a master that gave no vote because of its guard has been armed. */
  get armed(): number {
    return this.#armed;
  }

  /** The longest ttl that masters knew from other clients, if it is not ours. */
  get otherMaxTtl(): number | undefined {
    return this.#otherMaxTtl;
  }

  /** Reads a reply of a master, and arms the master when it must be armed. */
  onReply(node: number, reply: AcquireReply | ExtendReply): void {
    if (!this.enabled) return;
    const { status } = reply;
    if (status === "unarmed" || status === "too long") {
      this.#barred.set(node, status === "unarmed" ? 0 : this.#settings.maxTtl);
      if (status === "too long" || ("guard" in reply && reply.guard === "other"))
        this.#metGuard = true;
      this.#settle();
      return;
    }
    this.#met();
    if (status === "quarantined" && "remaining" in reply) {
      this.#quarantines.note(node, reply.remaining);
    }
  }

  /** Masters have served a request by the fast path, so they have voted. */
  onServed(): void {
    if (this.enabled) this.#met();
  }

  /** Milliseconds for which a master gives no vote, as far as known; `undefined` until the master is armed. */
  quarantineOf(node: number): number | undefined {
    return this.#barred.has(node) ? undefined : this.#quarantines.remaining(node);
  }

  /** Why a master could not be armed, and so gives no vote. */
  failureOf(node: number): string | undefined {
    return this.#failures.get(node);
  }

  /** Waits for masters that are being armed. */
  async settled(): Promise<void> {
    await this.#settling;
  }

  /** Stops arming. Idempotent. */
  close(): void {
    this.#closing.abort();
  }

  #met(): void {
    this.#metGuard = true;
    // Once, so that the masters and this client know each other's longest ttl.
    if (!this.#introduced) this.#settle();
  }

  #settle(): void {
    this.#introduced = true;
    this.#settling ??= this.#agree().finally(() => {
      this.#settling = undefined;
    });
  }

  /** Arms all masters that need it, and brings them to agree on the longest ttl. */
  async #agree(): Promise<void> {
    const { maxTtl, nodeTimeout } = this.#settings;
    let before: readonly RegisterReply[] = [];
    for (let pass = 0; pass < MOST_PASSES; pass++) {
      const replies = await this.#armAll();
      this.#reportStuck(replies);
      const step = nextStep(before, replies, { wanted: maxTtl, grace: 2 * nodeTimeout });
      if (step.kind === "done") return;
      if (step.kind === "agree") {
        await this.#tellAgreed(step.ttl, step.nodes, replies);
        if (step.isLast) return;
      } else if (step.pause) {
        await pause(this.#clock, nodeTimeout / 2, this.#closing.signal);
        if (this.#closing.signal.aborted) return;
      }
      before = replies;
    }
  }

  /** Names the longest ttl to all masters, and arms those without a guard of their own. */
  #armAll(): Promise<RegisterReply[]> {
    const arming = {
      names: this.#names,
      quarantine: this.#quarantine(),
      longestTtl: this.#longestTtl,
      patience: this.#patience(),
    };
    const nodes = [...this.#masters.ports.keys()];
    return Promise.all(nodes.map((node) => this.#ask(node, armOperation, arming)));
  }

  async #tellAgreed(
    agreedTtl: number,
    nodes: readonly number[],
    replies: readonly RegisterReply[],
  ): Promise<void> {
    const trust = this.#mayTrust(replies);
    await Promise.all(
      nodes.map(async (node) => {
        const guard = replies[node];
        if (guard === undefined) return;
        const agreement = { names: this.#names, armedAt: guard.armedAt, agreedTtl, trust };
        await this.#ask(node, agreeOperation, agreement);
      }),
    );
  }

  /** Asks a guard. A master whose guard fails gives no vote, and the failure explains why; the next request arms it. */
  async #ask<A>(
    node: number,
    operation: Operation<A, GuardState>,
    args: A,
  ): Promise<RegisterReply> {
    const port = this.#masters.ports[node];
    if (port === undefined) return undefined;
    try {
      const { reply } = await askNode(port, operation, args);
      this.#note(node, reply);
      return reply;
    } catch (error) {
      this.#failures.set(node, describeArming(error));
      return undefined;
    }
  }

  /** Whether the set of masters is wholly new, and so has nothing to forget. */
  #mayTrust(replies: readonly RegisterReply[]): boolean {
    if (this.#metGuard || !replies.every((reply) => reply?.state === "new")) return false;
    if (this.#settings.mode === "trust-new") return true;
    const quarantine = this.#quarantine();
    return this.#masters.ports.every((port) => port.uptime() >= quarantine);
  }

  #note(node: number, guard: GuardState): void {
    this.#failures.delete(node);
    this.#longestTtl = Math.max(this.#longestTtl, guard.longestTtl);
    // The quarantine of an unsure guard is not known yet.
    if (guard.state !== "sure") return;
    this.#quarantines.note(node, guard.remaining);
    if (guard.agreedTtl >= (this.#barred.get(node) ?? Infinity)) {
      this.#barred.delete(node);
      this.#armed += 1;
    }
    if (guard.agreedTtl !== this.#settings.maxTtl && this.#otherMaxTtl === undefined) {
      this.#otherMaxTtl = guard.agreedTtl;
      this.#listener.otherMaxTtl(guard.agreedTtl);
    }
  }

  #reportStuck(replies: readonly RegisterReply[]): void {
    if (replies.some((reply) => reply?.state === "sure")) this.#metGuard = true;
    const stuck = isStuck(replies);
    if (stuck && !this.#reportedStuck) {
      const youngest = Math.min(...replies.flatMap((reply) => reply?.age ?? []));
      const silent = [...replies.keys()].filter((node) => replies[node] === undefined);
      this.#listener.stuck(silent, this.#patience() - youngest);
    }
    this.#reportedStuck = stuck;
  }

  /** By the longest ttl that any master knows: others may hold locks longer than ours. */
  #quarantine(): number {
    return quarantineOf(this.#longestTtl, this.#settings);
  }

  #patience(): number {
    return patienceOf(this.#longestTtl, this.#settings);
  }
}

function describeArming(error: unknown): string {
  if (!(error instanceof NodeError)) return `the guard was not stored: ${String(error)}`;
  return error.failure === "refused"
    ? `the guard was refused: ${error.message}`
    : `the guard was not confirmed: ${error.message}`;
}
