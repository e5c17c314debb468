import type { Clock } from "../clock.ts";
import { pause } from "../pause.ts";
import { NodeError } from "../redis/node-error.ts";
import { askNode } from "../redis/node-port.ts";
import type { Masters } from "./masters.ts";
import type { AcquireReply } from "./acquire-operation.ts";
import { isStuck, nextStep, type RegisterReply } from "./agreement.ts";
import type { ExtendReply } from "./extend-operation.ts";
import { agreeOperation, armOperation, type GuardState } from "./arm-operation.ts";
import { LONGEST_TTL, type Names } from "./stored-lock.ts";

/**
 * What keeps a master that has lost its memory from voting for a second holder.
 *
 * Redlock's own advice is to keep a restarted master down for longer than the longest ttl. The guard does it on
 * the master itself, atomically with each vote: a key that names the server which was armed. When it is missing (empty
 * restart, FLUSHALL) or names another server (restart with old data, failover, promotion), the master gives no vote
 * until it is armed again, and then not for the quarantine: until every lock it may have forgotten is over. How long locks
 * can be is agreed on by all masters, see `agreement.ts`.
 *
 * A wholly new set of masters has nothing to forget. It is trusted at once when no master had a guard, this client has
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

/** Hears of masters that give no vote for a while, and of clients that do not fit together. */
export interface GuardListener {
  /** A master gives no vote for so many milliseconds. */
  quarantined(node: number, remaining: number): void;
  /** So many give none that no lock can be had for so many milliseconds. Said once for each such time. */
  noQuorum(nodes: readonly number[], remaining: number): void;
  /** Those that answer have forgotten their locks, and wait for the silent ones, at most for so many ms. Said once. */
  stuck(silent: readonly number[], remaining: number): void;
  /** The masters have been told of another longest ttl than ours. Said once. */
  otherMaxTtl(known: number): void;
}

/** Most times that all masters are asked before the next vote begins it anew. */
const MOST_PASSES = 8;

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
  readonly #listener: GuardListener;
  readonly #quarantinedUntil: number[];
  /** Masters that gave no vote for want of a guard, and up to which ttl they are to vote. */
  readonly #barred = new Map<number, number>();
  /** Why a master could not be armed last. */
  readonly #failures = new Map<number, string>();
  /** The longest ttl that we want to ask for, or know of. */
  #longestTtl: number;
  readonly #closing = new AbortController();
  #settling: Promise<void> | undefined;
  #armed = 0;
  #introduced = false;
  /** Whether we have met a guard on any master: a set that then has none is not new, it was flushed. */
  #metGuard = false;
  /** Until when it is known that there is no quorum. */
  #noQuorumUntil = -Infinity;
  #saidStuck = false;
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
    this.#longestTtl = settings.maxTtl;
    this.#quarantinedUntil = masters.ports.map(() => -Infinity);
  }

  /** Whether votes look at the guard. */
  get enabled(): boolean {
    return this.#settings.mode !== false;
  }

  /** Counts how often a master that gave us no vote for want of a guard has been armed. */
  get armed(): number {
    return this.#armed;
  }

  /** The longest ttl that masters had been told of by others, if it is not ours. */
  get otherMaxTtl(): number | undefined {
    return this.#otherMaxTtl;
  }

  /** Takes note of what a master said, and arms it when it must be. */
  heard(node: number, reply: AcquireReply | ExtendReply): void {
    if (!this.enabled) return;
    const { status } = reply;
    if (status === "unarmed" || status === "too long") {
      this.#barred.set(node, status === "unarmed" ? 0 : this.#settings.maxTtl);
      if (status === "too long" || ("guard" in reply && reply.guard === "other"))
        this.#metGuard = true;
      this.#settle();
      return;
    }
    this.#metGuard = true;
    // The masters hear of our longest ttl once, and we of theirs.
    if (!this.#introduced) this.#settle();
    if (status === "quarantined" && "remaining" in reply) {
      this.#noteQuarantine(node, reply.remaining);
    }
  }

  /** Milliseconds for which a master gives no vote; 0 when it is not known to give none, `undefined` until it is armed. */
  quarantineOf(node: number): number | undefined {
    if (this.#barred.has(node)) return undefined;
    return Math.max(0, (this.#quarantinedUntil[node] ?? -Infinity) - this.#clock.now());
  }

  /** Why a master could not be armed: the reason why it gives no vote. */
  failureOf(node: number): string | undefined {
    return this.#failures.get(node);
  }

  /** Waits for masters that are being armed. */
  async settled(): Promise<void> {
    await this.#settling;
  }

  /** Arms no master any more. Idempotent. */
  close(): void {
    this.#closing.abort();
  }

  #settle(): void {
    this.#introduced = true;
    this.#settling ??= this.#agree().finally(() => {
      this.#settling = undefined;
    });
  }

  /** Arms all masters that need it, and sees to it that they know the longest ttl. */
  async #agree(): Promise<void> {
    const { maxTtl, nodeTimeout } = this.#settings;
    let before: readonly RegisterReply[] = [];
    for (let pass = 0; pass < MOST_PASSES; pass++) {
      const words = await this.#tellAll();
      this.#look(words);
      const step = nextStep(before, words, { wanted: maxTtl, grace: 2 * nodeTimeout });
      if (step.kind === "done") return;
      if (step.kind === "agree") {
        await this.#tellAgreed(step.ttl, step.nodes, words);
        if (step.isLast) return;
      } else if (step.pause) {
        await pause(this.#clock, nodeTimeout / 2, this.#closing.signal);
        if (this.#closing.signal.aborted) return;
      }
      before = words;
    }
  }

  /** Names the longest ttl to all masters, and arms those without a guard of their own. */
  async #tellAll(): Promise<RegisterReply[]> {
    const arming = {
      names: this.#names,
      quarantine: this.#quarantine(),
      longestTtl: this.#longestTtl,
      patience: this.#patience(),
    };
    return await Promise.all(
      this.#masters.ports.map(async (port, node) => {
        try {
          return this.#note(node, (await askNode(port, armOperation, arming)).reply);
        } catch (error) {
          // It stays as it is, and gives no vote, which says why; the next request arms it.
          this.#failures.set(node, describeArming(error));
          return undefined;
        }
      }),
    );
  }

  async #tellAgreed(
    agreedTtl: number,
    nodes: readonly number[],
    words: readonly RegisterReply[],
  ): Promise<void> {
    const trust = this.#mayTrust(words);
    await Promise.all(
      nodes.map(async (node) => {
        const port = this.#masters.ports[node];
        const word = words[node];
        if (port === undefined || word === undefined) return;
        const agreement = { names: this.#names, armedAt: word.armedAt, agreedTtl, trust };
        try {
          this.#note(node, (await askNode(port, agreeOperation, agreement)).reply);
        } catch (error) {
          this.#failures.set(node, describeArming(error));
        }
      }),
    );
  }

  /** Whether the set of masters is wholly new, and so has nothing to forget. */
  #mayTrust(words: readonly RegisterReply[]): boolean {
    if (this.#metGuard || !words.every((word) => word?.state === "new")) return false;
    if (this.#settings.mode === "trust-new") return true;
    const quarantine = this.#quarantine();
    return this.#masters.ports.every((port) => port.uptime() >= quarantine);
  }

  #note(node: number, word: GuardState): GuardState {
    this.#failures.delete(node);
    this.#longestTtl = Math.max(this.#longestTtl, word.longestTtl);
    // Of one that is not sure yet it is unknown whether, and for how long.
    if (word.state !== "sure") return word;
    this.#noteQuarantine(node, word.remaining);
    if (word.agreedTtl >= (this.#barred.get(node) ?? Infinity)) {
      this.#barred.delete(node);
      this.#armed += 1;
    }
    if (word.agreedTtl !== this.#settings.maxTtl && this.#otherMaxTtl === undefined) {
      this.#otherMaxTtl = word.agreedTtl;
      this.#listener.otherMaxTtl(word.agreedTtl);
    }
    return word;
  }

  #look(words: readonly RegisterReply[]): void {
    if (words.some((word) => word?.state === "sure")) this.#metGuard = true;
    const stuck = isStuck(words);
    if (stuck && !this.#saidStuck) {
      const youngest = Math.min(...words.flatMap((word) => word?.age ?? []));
      const silent = [...words.keys()].filter((node) => words[node] === undefined);
      this.#listener.stuck(silent, this.#patience() - youngest);
    }
    this.#saidStuck = stuck;
  }

  /** By the longest ttl that any master knows of: others may hold locks longer than ours. */
  #quarantine(): number {
    return quarantineOf(this.#longestTtl, this.#settings);
  }

  /** For how long a master waits for word of the longest ttl; tests and development need not know of longer ones. */
  #patience(): number {
    if (this.#settings.mode === "trust-new") return this.#quarantine();
    return quarantineOf(LONGEST_TTL, this.#settings);
  }

  #noteQuarantine(node: number, remaining: number): void {
    if (remaining <= 0) return;
    const now = this.#clock.now();
    const known = (this.#quarantinedUntil[node] ?? now) > now;
    this.#quarantinedUntil[node] = now + remaining;
    if (!known) this.#listener.quarantined(node, remaining);
    this.#lookForQuorum(now);
  }

  #lookForQuorum(now: number): void {
    const ends = this.#quarantinedUntil;
    // As many as are needed have to be back.
    const until = ends.toSorted((a, b) => a - b)[this.#masters.quorum - 1] ?? -Infinity;
    if (until <= now || this.#noQuorumUntil > now) return;
    this.#noQuorumUntil = until;
    const nodes = [...ends.keys()].filter((node) => (ends[node] ?? now) > now);
    this.#listener.noQuorum(nodes, until - now);
  }
}
