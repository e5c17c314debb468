import { type Html, html } from "./html.ts";

const HEIGHT = 48;
/** Width of a bar, and of the room between two. */
const BAR = 4;
const GAP = 1;

/** Draws values over the last five minutes as bars. `say` puts a value into words. */
export function chart(
  title: string,
  values: readonly (number | undefined)[],
  say: (value: number) => string,
): Html {
  const known = values.filter((value) => value !== undefined);
  const largest = Math.max(0, ...known);
  const latest = known.at(-1);
  const words =
    latest === undefined ? "none yet" : `latest ${say(latest)}, largest ${say(largest)}`;
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
