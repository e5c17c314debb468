import type { Clock } from "../clock.ts";
import type { ServedBy } from "../redis/operation.ts";
import type { Vote } from "./quorum.ts";

/** Milliseconds for which a refused vote counts: while no lock is asked for, nothing shows that the refusals are over. */
const LONGEST_REFUSAL = 10_000;

/** The masters whose last vote was refused, as by a full server. */
export class Refusals {
  readonly #clock: Clock;
  readonly #refused = new Map<number, { readonly cause: string; readonly at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes what a master has answered. */
  note(node: number, vote: Vote): void {
    if (vote.kind !== "failed") this.#refused.delete(node);
    else if (vote.error.failure === "refused") {
      this.#refused.set(node, { cause: vote.error.message, at: this.#clock.now() });
    }
  }

  /** Notes the masters that have served a request by the fast path. */
  onServed(by: ServedBy): void {
    // The usual case.
    if (this.#refused.size === 0) return;
    for (const node of this.#refused.keys()) {
      if (by.sentAt(node) !== undefined) this.#refused.delete(node);
    }
  }

  /** Why a master has refused to vote just now. */
  causeOf(node: number): string | undefined {
    const refusal = this.#refused.get(node);
    const isOld = refusal === undefined || this.#clock.now() - refusal.at > LONGEST_REFUSAL;
    return isOld ? undefined : refusal.cause;
  }
}
