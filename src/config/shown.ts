import { describeKind, describeValue } from "../sentences.ts";
import { printable } from "../printable.ts";
import { isPlain } from "./environment.ts";
import { KNOWN_IN_NODE, REFUSED_IN_NODE } from "../redis/node-options.ts";
import { type Path, type SourceLine, writePath } from "./problem.ts";
import { KNOWN_AT_TOP, KNOWN_IN_RULE } from "./schema.ts";

// Messages end up in logs, and a wrong file may have a password anywhere. So a message repeats only values at known paths, and
// does not guess by their form.

/** A value that is not written, unlike the null that YAML makes of it. */
export const NOTHING = Symbol("nothing");

/** The form of an option. A secret where a name belongs has digits, or is longer. */
const NAME = /^[A-Za-z_$-]{1,32}$/;
const NAMES_IN_NODE = [...KNOWN_IN_NODE, ...REFUSED_IN_NODE];

/** Whether a message may repeat the value at a path: an option of a rule, or of all rules. */
export function mayShow([top, , name]: Path): boolean {
  if (top === "rules") return KNOWN_IN_RULE.includes(String(name));
  return top !== "nodes" && top !== "$schema" && KNOWN_AT_TOP.includes(String(top));
}

/** Whether a message may repeat a name in the object at a path. */
export function mayShowName(name: string, path: Path): boolean {
  const [top] = path;
  if (top === "nodes") return path.length === 2 && NAMES_IN_NODE.includes(name);
  const isOption = path.length === 0 || (top === "rules" && path.length === 2);
  return isOption ? NAME.test(name) : mayShow(path);
}

/** Writes a path up to the first name in it that no message may repeat. */
export function showPath(path: Path): string {
  const end = path.findIndex(
    (step, at) => typeof step === "string" && !mayShowName(step, path.slice(0, at)),
  );
  return writePath(end === -1 ? path : path.slice(0, end));
}

/** Describes the value at a path. */
export function describeAt(path: Path, value: unknown): string {
  if (value === null || value === NOTHING) return "nothing";
  if (Array.isArray(value) && value.length === 0) return "an empty list";
  if (isPlain(value) && Object.keys(value).length === 0) return "an empty object";
  return mayShow(path) ? describeValue(value) : describeKind(value);
}

/** A part of a file with one value or name, and whether a message may repeat it. */
export interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly isShown: boolean;
}

/** A longer line is not shown: it may be the whole file. */
const LONGEST_LINE = 200;
/** Between values, everything but the marks of YAML: an anchor or a tag may be a secret. */
const NO_MARK = /[^\s[\]{},:?-]+/g;
const COMMENT = /(?<=^|\s)#.*/;

/**
 * Returns the line around an offset, with `***` for all that may not be shown; `undefined` when nothing else is left of it,
 * or when it is long.
 *
 * @param stretches all values and names of the text, in its order.
 */
export function showLine(
  text: string,
  offset: number,
  stretches: readonly Stretch[],
): SourceLine | undefined {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const next = text.indexOf("\n", offset);
  const end = next === -1 ? text.length : next;
  if (end - start > LONGEST_LINE) return undefined;
  const inLine = stretches.filter((each) => each.start < end && each.end > start);
  if (!inLine.some(({ isShown }) => isShown)) return undefined;
  const around = inLine.find((each) => each.start < offset && each.end > offset);
  const caretAt = around?.isShown === false ? Math.max(around.start, start) : offset;
  const [before, after] = [
    render(text, start, caretAt, inLine),
    render(text, caretAt, end, inLine).trimEnd(),
  ].map((part) => printable(part.replaceAll("\t", " "))) as [string, string];
  return { text: before + after, caret: Array.from(before).length };
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
