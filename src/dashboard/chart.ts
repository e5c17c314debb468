import { type Html, html } from "./html.ts";

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

const HEIGHT = 48;
/** Width of a bar, and of the room between two. */
const BAR = 4;
const GAP = 1;

/** Draws values over the last five minutes as bars. */
export function chart(
  title: string,
  values: readonly (number | undefined)[],
  format: (value: number) => string,
): Html {
  const known = values.filter((value) => value !== undefined);
  const largest = Math.max(0, ...known);
  const latest = known.at(-1);
  const words =
    latest === undefined ? "none yet" : `latest ${format(latest)}, largest ${format(largest)}`;
  const bars = values.map((value, index) => {
    if (value === undefined) return undefined;
    const height = Math.max(1, (value / Math.max(1, largest)) * HEIGHT);
    return html`<rect
      x="${index * (BAR + GAP)}"
      y="${(HEIGHT - height).toFixed(1)}"
      width="${BAR}"
      height="${height.toFixed(1)}"
    />`;
  });
  return html`<figure>
    <figcaption><b>${title}</b> <span>${words}</span></figcaption>
    <svg
      role="img"
      aria-label="${title} over the last five minutes: ${words}"
      viewBox="0 0 ${values.length * (BAR + GAP) - GAP} ${HEIGHT}"
      preserveAspectRatio="none"
    >
      ${bars}
    </svg>
    <p class="axis" aria-hidden="true"><span>5 min ago</span><span>now</span></p>
  </figure>`;
}
