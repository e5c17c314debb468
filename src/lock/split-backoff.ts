import { within } from "../pause.ts";
import type { KeyHolder } from "./acquire-operation.ts";
import type { LockContext } from "./lock-context.ts";

/** First pause after a split, in ms, at least: about a round trip in a local network. */
const SPLIT_PAUSE = 2;

/**
 * The attempts of one process that have split the masters with others. One attempt for the same keys leads, and the others wait
 * for its end: the fewer contend, the sooner one of them has a quorum.
 */
export class SplitBackoff {
  readonly #leaders = new Map<string, Promise<void>>();

  /** Resolves when the leading attempt for these keys has ended; `undefined` when there is none. */
  leader(keys: readonly string[]): Promise<void> | undefined {
    return this.#leaders.get(JSON.stringify(keys));
  }

  /** Makes the caller's attempt the leader until the returned function is called. */
  lead(keys: readonly string[]): () => void {
    const id = JSON.stringify(keys);
    let end: (() => void) | undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#leaders.set(id, ended);
    return () => {
      this.#leaders.delete(id);
      end?.();
    };
  }
}

/** The splits of one attempt: which minorities it has met, and for how long it pauses. */
export class Split {
  readonly #context: LockContext;
  readonly #keys: readonly string[];
  readonly #firstSeen = new Map<string, number>();
  #stopLeading: (() => void) | undefined;

  constructor(context: LockContext, keys: readonly string[]) {
    this.#context = context;
    this.#keys = keys;
  }

  /**
   * Returns a blocker that is no contender. A contender rolls back within its round, so a minority that stays unchanged for two
   * node timeouts won elsewhere, on masters that are silent now, or died.
   */
  settledHolder(blockers: readonly KeyHolder[]): KeyHolder | undefined {
    const { clock, nodeTimeout } = this.#context;
    const now = clock.now();
    const seen = this.#firstSeen;
    const current = new Set(blockers.map(nameOf));
    for (const name of seen.keys()) if (!current.has(name)) seen.delete(name);
    for (const name of current) if (!seen.has(name)) seen.set(name, now);
    return blockers.find((blocker) => now - (seen.get(nameOf(blocker)) ?? now) >= 2 * nodeTimeout);
  }

  /**
   * Waits for the leading attempt, or leads and pauses: a random part of the duration of a round, doubled with each try.
   * @param triedAt when the try that ended in a split began.
   * @see https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/ ("Retry on Failure")
   */
  async pause(tries: number, triedAt: number): Promise<void> {
    const { clock, random, nodeTimeout, splits } = this.#context;
    const leader = this.#stopLeading === undefined ? splits.leader(this.#keys) : undefined;
    // No longer than the longest pause: others may keep the leader from an end.
    if (leader !== undefined) return within(clock, leader, nodeTimeout);
    this.#stopLeading ??= splits.lead(this.#keys);
    const round = Math.max(SPLIT_PAUSE, clock.now() - triedAt);
    const ms = Math.min(round * 2 ** tries * random.fraction(), nodeTimeout);
    await new Promise<void>((resolve) => {
      clock.timer(ms, resolve);
    });
  }

  end(): void {
    this.#stopLeading?.();
  }
}

function nameOf({ key, id, token }: KeyHolder): string {
  return JSON.stringify([key, id, token]);
}
