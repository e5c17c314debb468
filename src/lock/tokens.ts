import type { Clock } from "../clock.ts";
import { RETENTION } from "./stored-lock.ts";

/**
 * By how many ms the clocks of a client and a master may differ. A token from a clock that is ahead by more than masters
 * remember marks would still be the largest when nobody remembers it: the next one would be smaller. Of a client and a
 * master that are further apart nobody can tell which is wrong, so they do not work together.
 */
export const FARTHEST_CLOCK = RETENTION / 4;

/**
 * Proposes fencing tokens: microseconds since 1970, but always above every token seen, in the manner of a hybrid
 * logical clock. A master accepts a token only above its mark, so a clock that is behind costs a second round and
 * never an order.
 *
 * Tokens are even. An extend closes the odd number below its token, so that a `closed` mark tells a holder that has
 * extended from the release of the one before.
 * @see https://cse.buffalo.edu/tech-reports/2014-04.pdf
 */
export class TokenSource {
  readonly #clock: Clock;
  #last = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A token above all that were proposed or observed; a safe integer until the year 2255. */
  next(): number {
    const above = this.#last + 2 - (this.#last % 2);
    this.#last = Math.max(above, 2 * Math.floor(this.#clock.wall() * 500));
    return this.#last;
  }

  /** Takes note of a token seen on a master. */
  observe(token: number): void {
    if (Number.isSafeInteger(token)) this.#last = Math.max(this.#last, token);
  }
}

/** When a token was proposed, in milliseconds since 1970, by the clock of who proposed it. */
export function proposedAt(token: number): number {
  return Math.floor(token / 1_000);
}
