import type { Clock } from "../clock.ts";
import { RETENTION } from "./stored-lock.ts";

/**
 * Milliseconds by which the clocks of a client and a master may differ. A token from a clock that is ahead by more than masters
 * remember marks would still be the largest when its mark is forgotten, and the next token would be smaller. A client and a
 * master that differ by more do not work together, because either clock may be wrong.
 */
export const FARTHEST_CLOCK = RETENTION / 4;

/**
 * Proposes fencing tokens: microseconds since 1970, but always above every token seen, like a hybrid logical clock.
 * A master accepts a token only above its mark, so a clock that is behind costs a second round, and never the order.
 *
 * Tokens are even. An extend closes the odd number below its token, so the `closed` mark of a holder that has extended differs
 * from that of a release by the holder before.
 * @see https://cse.buffalo.edu/tech-reports/2014-04.pdf
 */
export class TokenSource {
  readonly #clock: Clock;
  #last = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A token above all that were proposed or observed: a safe integer, also by a clock after the year 2255. */
  next(): number {
    const above = this.#last + 2 - (this.#last % 2);
    const proposed = 2 * Math.floor(this.#clock.wall() * 500);
    // A clock that a test has replaced may show anything. Such a token would stay the largest one of its key.
    this.#last = Number.isSafeInteger(proposed) ? Math.max(above, proposed) : above;
    return this.#last;
  }

  /** Notes a token that a master has reported. */
  observe(token: number): void {
    if (Number.isSafeInteger(token)) this.#last = Math.max(this.#last, token);
  }
}

/** When a token was proposed, in milliseconds since 1970, by the clock of the proposing client. */
export function proposedAt(token: number): number {
  return Math.floor(token / 1_000);
}
