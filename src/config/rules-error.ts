import { displayWidth } from "../display-width.ts";
import { LockConfigError } from "../errors.ts";
import type { SourceLine } from "./source-line.ts";

/** One mistake in the rules. Lines and columns count from 1. */
export interface RulesProblem {
  /** What is wrong, such as `rules[0].ttl`; empty when it is the file itself. */
  readonly path: string;
  readonly found: string;
  readonly expected: string;
  /** `undefined` for rules that are no file. */
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** The line of the file, without passwords, and the mistake's place in it. */
  readonly source: SourceLine | undefined;
}

/** The place of a mistake in rules that are no file. */
export const NOWHERE = {
  file: undefined,
  line: undefined,
  column: undefined,
  source: undefined,
} as const;

/** Rules that cannot work; its message tells all mistakes. */
export class LockRulesError extends LockConfigError {
  override readonly name = "LockRulesError";
  /** All mistakes, in the order of the file. */
  readonly faults: readonly RulesProblem[];
  readonly file: string | undefined;
  /** Line and column of the first mistake, from 1. */
  readonly line: number | undefined;
  readonly column: number | undefined;

  constructor(faults: readonly RulesProblem[]) {
    const [first] = faults;
    super({
      path: first?.path ?? "",
      found: first?.found ?? "nothing",
      expected: first?.expected ?? "rules",
    });
    this.faults = faults;
    this.file = first?.file;
    this.line = first?.line;
    this.column = first?.column;
    const heading = faults.length === 1 ? "" : `${faults.length} mistakes\n`;
    this.message = heading + faults.map(describeProblem).join("\n");
  }
}

/** A mistake for people: `file:line:column  path: found ..., expected ...`, the line, and a caret under the place. */
export function describeProblem({
  file,
  line,
  column,
  path,
  found,
  expected,
  source,
}: RulesProblem): string {
  const place = [file, line, column].filter((part) => part !== undefined).join(":");
  const what = `${path === "" ? "" : `${path}: `}found ${found}, expected ${expected}`;
  const told = place === "" ? what : `${place}  ${what}`;
  if (source === undefined) return told;
  const before = Array.from(source.text).slice(0, source.caret).join("");
  return `${told}\n    ${source.text}\n    ${" ".repeat(displayWidth(before))}^`;
}
