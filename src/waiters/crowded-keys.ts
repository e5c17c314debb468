import type { Clock } from "../clock.ts";
import { RecentMap } from "../recent-map.ts";

/** So many others wait for a crowded key: a job that arrives is not the next one. */
const CROWD = 10;
/** For how many milliseconds a key counts as crowded after the last job that joined. */
const CROWDED = 500;

/** The keys that many jobs wait for, as far as this process knows. A wrong guess costs a round trip, and nothing else. */
export class CrowdedKeys {
  readonly #clock: Clock;
  readonly #seenAt = new RecentMap<string, number>();
  /** How many jobs are joining the wait list of each key without having asked for the key. */
  readonly #joining = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A job has joined the wait list of a key; so many others wait. */
  note(key: string, waiting: number): void {
    if (waiting < CROWD) this.#seenAt.delete(key);
    else this.#seenAt.set(key, this.#clock.now());
  }

  /** Whether a job joins the wait list at once. It must not overtake an earlier one that does. */
  has(key: string): boolean {
    if (this.#joining.has(key)) return true;
    return this.#clock.now() - (this.#seenAt.get(key) ?? -Infinity) < CROWDED;
  }

  /** Counts a job as joining until the returned function is called. */
  begin(key: string): () => void {
    this.#joining.set(key, (this.#joining.get(key) ?? 0) + 1);
    return () => {
      const left = (this.#joining.get(key) ?? 1) - 1;
      if (left > 0) this.#joining.set(key, left);
      else this.#joining.delete(key);
    };
  }
}
