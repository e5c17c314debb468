import { within } from "../pause.ts";
import type { KeyHolder } from "./acquire-operation.ts";
import type { LockContext } from "./lock-context.ts";

/** First pause after a split, in ms, at least: about a round trip in a local network. */
const SPLIT_PAUSE = 2;

/**
 * What one attempt does about splits: it recognises minorities that will not go away, and pauses before the next try.
 *
 * Of the attempts of one process for the same keys, one leads, and the others wait for its end: the fewer contend, the sooner
 * one of them has a quorum.
 */
export class SplitBackoff {
  readonly #context: LockContext;
  readonly #id: string;
  readonly #firstSeen = new Map<string, number>();
  #stopLeading: (() => void) | undefined;

  constructor(context: LockContext, keys: readonly string[]) {
    this.#context = context;
    this.#id = JSON.stringify(keys);
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
    const { clock, random, nodeTimeout, splitLeaders } = this.#context;
    const leader = this.#stopLeading === undefined ? splitLeaders.get(this.#id) : undefined;
    // No longer than the longest pause: others may keep the leader from an end.
    if (leader !== undefined) return within(clock, leader, nodeTimeout);
    if (this.#stopLeading === undefined) this.#lead();
    const round = Math.max(SPLIT_PAUSE, clock.now() - triedAt);
    const ms = Math.min(round * 2 ** tries * random.fraction(), nodeTimeout);
    await new Promise<void>((resolve) => {
      clock.timer(ms, resolve);
    });
  }

  /** Ends the lead, if the attempt has it. */
  end(): void {
    this.#stopLeading?.();
  }

  #lead(): void {
    const { splitLeaders } = this.#context;
    const ended = new Promise<void>((resolve) => {
      this.#stopLeading = () => {
        splitLeaders.delete(this.#id);
        resolve();
      };
    });
    splitLeaders.set(this.#id, ended);
  }
}

function nameOf({ key, id, token }: KeyHolder): string {
  return JSON.stringify([key, id, token]);
}
