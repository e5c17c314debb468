import { displayWidth } from "../display-width.ts";
import { UNKNOWN_OPTION } from "../check-options.ts";
import { LockConfigError } from "../errors.ts";

/** The names and indices that lead to a value in the rules. */
export type Path = readonly (string | number)[];

/** A problem in the rules, before its line and column are known. */
export interface Problem {
  readonly path: Path;
  /** Whether the name at the path is wrong, or its value. */
  readonly part: "name" | "value";
  readonly found: string;
  readonly expected: string;
  /** The index in the value, when it is a text, in UTF-16 code units. */
  readonly offset?: number;
  /** The index in the file, for a problem of its syntax. */
  readonly at?: number;
}

/** A line of a rules file that may be shown: shortened, printable and without passwords. */
export interface SourceLine {
  readonly text: string;
  /** The number of characters before the problem. */
  readonly caret: number;
}

/** A problem in the rules. Lines and columns count from 1. */
export interface RulesProblem {
  /** The value that is wrong, such as `rules[0].ttl`; empty for the file itself. */
  readonly path: string;
  readonly found: string;
  readonly expected: string;
  /** `undefined` for rules in code. */
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** The line of the file, without passwords, and the position of the problem in it. */
  readonly source: SourceLine | undefined;
}

/** The position of a problem in rules in code. */
export const NOWHERE = {
  file: undefined,
  line: undefined,
  column: undefined,
  source: undefined,
} as const;

/** The rules cannot work. The message lists all problems. */
export class LockRulesError extends LockConfigError {
  override readonly name = "LockRulesError";
  /** All problems, in the order of the file. */
  readonly problems: readonly RulesProblem[];
  readonly file: string | undefined;
  /** Line and column of the first problem, from 1. */
  readonly line: number | undefined;
  readonly column: number | undefined;

  constructor(problems: readonly RulesProblem[]) {
    const [first] = problems;
    super({
      path: first?.path ?? "",
      found: first?.found ?? "nothing",
      expected: first?.expected ?? "rules",
    });
    this.problems = problems;
    this.file = first?.file;
    this.line = first?.line;
    this.column = first?.column;
    const heading = problems.length === 1 ? "" : `${problems.length} problems\n`;
    this.message = heading + problems.map(describeProblem).join("\n");
  }
}

/** Formats a problem: `file:line:column  path: found ..., expected ...`, then the line with a caret below it. */
export function describeProblem(problem: RulesProblem): string {
  const { file, line, column, path, found, expected, source } = problem;
  const position = [file, line, column].filter((part) => part !== undefined).join(":");
  const start = `${position}${position === "" ? "" : "  "}${path}${path === "" ? "" : ": "}`;
  const sentence = `${start}found ${found}, expected ${expected}`;
  if (source === undefined) return sentence;
  const before = Array.from(source.text).slice(0, source.caret).join("");
  return `${sentence}\n    ${source.text}\n    ${" ".repeat(displayWidth(before))}^`;
}

/** Creates a problem about the value at a path. */
export function wrongValue(path: Path, found: string, expected: string): Problem {
  return { path, part: "value", found, expected };
}

/** Creates a problem of the syntax of a file. */
export function wrongSyntax(at: number, found: string, expected: string): Problem {
  return { ...wrongValue([], found, expected), at };
}

/** Turns an error of another room into a problem below `path`. */
export function toProblem(error: LockConfigError, path: Path): Problem {
  const steps = Array.from(error.path.matchAll(/\[(\d+)\]|([^.[\]]+)/g), ([, index, name = ""]) =>
    index === undefined ? name : Number(index),
  );
  const { found, expected } = error;
  const part = found === UNKNOWN_OPTION ? "name" : "value";
  return { path: [...path, ...steps], part, found, expected };
}

const WORD = /^[A-Za-z_$][\w$-]*$/;

/** Writes a path as in JavaScript: `rules[0].ttl`. */
export function writePath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (WORD.test(step)) text += text === "" ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** Returns a test of whether a path is one of `paths`, or leads through one of them. */
export function below(paths: readonly Path[]): (path: Path) => boolean {
  const known = new Set(paths.map(writePath));
  return (path) =>
    known.size > 0 &&
    [path, ...path.map((_, length) => path.slice(0, length))].some((each) =>
      known.has(writePath(each)),
    );
}
