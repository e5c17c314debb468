/** How long a bar of the chart is, in ms. */
const SPAN = 5_000;
/** How many bars there are: five minutes. */
const BARS = 60;

/** A number over the last five minutes: the largest value of each span of five seconds. */
export class History {
  readonly #bars = new Map<number, number>();

  /** Notes a value. `now` is milliseconds since 1970. */
  add(now: number, value: number): void {
    const bar = Math.floor(now / SPAN);
    this.#bars.set(bar, Math.max(this.#bars.get(bar) ?? 0, value));
    for (const old of this.#bars.keys()) if (old <= bar - BARS) this.#bars.delete(old);
  }

  /** The values, the latest last; `undefined` for spans without one. */
  values(now: number): (number | undefined)[] {
    const last = Math.floor(now / SPAN);
    return Array.from({ length: BARS }, (_, index) => this.#bars.get(last - BARS + 1 + index));
  }
}
