import { printable } from "../printable.ts";

/** A line of a file as it may be shown: cut, printable and without passwords. */
export interface SourceLine {
  readonly text: string;
  /** How many characters stand before the place. */
  readonly caret: number;
}

/** A stretch of a text, and whether it may be shown. */
export interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly isShown: boolean;
}

/** Characters shown before and after the place. */
const BEFORE = 50;
const AFTER = 60;
/** A line may be the whole file: only so much of it is looked at. */
const WINDOW = 1_000;
/** What stands between values and is no mark of YAML: anchors and tags. */
const NO_MARK = /[^\s[\]{},:?-]+/g;
const COMMENT = /(?<=^|\s)#.*/;

/**
 * The line around an offset, with `***` for all that is not among the stretches that may be shown; `undefined` when there is
 * nothing left of it.
 *
 * @param stretches all values and names of the text, in its order.
 */
export function showLine(
  text: string,
  offset: number,
  stretches: readonly Stretch[],
): SourceLine | undefined {
  const start = Math.max(text.lastIndexOf("\n", offset - 1) + 1, offset - WINDOW);
  const next = text.indexOf("\n", offset);
  const end = Math.min(next === -1 ? text.length : next, offset + WINDOW);
  const inLine: Stretch[] = [];
  for (let at = firstAfter(start, stretches); (stretches[at]?.start ?? end) < end; at++)
    inLine.push(stretches[at] as Stretch);
  if (!inLine.some(({ isShown }) => isShown)) return undefined;
  const around = inLine.find((each) => each.start < offset && each.end > offset);
  const place = around?.isShown === false ? Math.max(around.start, start) : offset;
  const [before = [], after = []] = [
    render(text, start, place, inLine),
    render(text, place, end, inLine).trimEnd(),
  ].map((part) => Array.from(printable(part.replaceAll("\t", " "))));
  const left =
    before.length > BEFORE ? ["...", ...before.slice(-BEFORE)].join("") : before.join("");
  const right = after.length > AFTER ? `${after.slice(0, AFTER).join("")}...` : after.join("");
  return { text: `${left}${right}`, caret: Array.from(left).length };
}

/** The first stretch that ends behind an offset: a file may have thousands of stretches, and of faults. */
function firstAfter(offset: number, stretches: readonly Stretch[]): number {
  let [low, high] = [0, stretches.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((stretches[middle]?.end ?? Infinity) > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

function render(text: string, start: number, end: number, stretches: readonly Stretch[]): string {
  let [rendered, at] = ["", start];
  const fill = (to: number): void => {
    rendered += text.slice(at, to).replace(COMMENT, "").replaceAll(NO_MARK, "***");
    at = to;
  };
  for (const stretch of stretches) {
    const [from, to] = [Math.max(stretch.start, at), Math.min(stretch.end, end)];
    if (from >= to) continue;
    fill(from);
    rendered += stretch.isShown ? text.slice(from, to) : "***";
    at = to;
  }
  fill(end);
  return rendered;
}
