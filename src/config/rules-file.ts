import { relative } from "node:path";
import { check, type Checked } from "./check.ts";
import type { Environment } from "./environment.ts";
import type { Problem } from "./problem.ts";
import { readText } from "./text-file.ts";
import type { RulesProblem } from "./rules-error.ts";
import { showPath } from "./shown.ts";
import { showLine } from "./source-line.ts";

/** A rules file that was read. */
export interface RulesFile extends Checked {
  /** The path for people: relative to the current folder where that is shorter. */
  readonly file: string;
  /** Everything that is wrong, in the order of the file. */
  readonly faults: readonly RulesProblem[];
  /** The line of each rule, from 1. */
  lineOf(this: void, rule: number): number;
  /** Mistakes that belong to one part, as faults. */
  toFaults(this: void, problems: readonly Problem[]): RulesProblem[];
}

/** Reads and checks a rules file. @throws {LockRulesError} when it is no text file of a sensible size. */
export async function readRulesFile(path: string, environment: Environment): Promise<RulesFile> {
  // A carriage return alone ends a line too, but not to the parser.
  const text = (await readText(path)).replace(/^\uFEFF/, "").replace(/\r(?!\n)/g, "\n");
  // Here, so that who defines rules in code, or uses no rules, does not load it.
  const { readDocument } = await import("./document.ts");
  const document = readDocument(text, /\.json$/i.test(path));
  const fromFolder = relative(process.cwd(), path);
  const file = fromFolder.length < path.length ? fromFolder : path;
  const faultAt = (
    at: number,
    what: Pick<RulesProblem, "path" | "found" | "expected">,
  ): RulesProblem => {
    const { line, column } = document.positionOf(at);
    return {
      ...what,
      file,
      line,
      column,
      source: showLine(text, at, document.stretches),
    };
  };
  const toFaults = (problems: readonly Problem[]): RulesProblem[] =>
    problems
      .map((problem) => ({ problem, at: document.offsetOf(problem) }))
      .sort((a, b) => a.at - b.at)
      .map(({ problem: { path, found, expected }, at }) =>
        faultAt(at, { path: showPath(path), found, expected }),
      );
  const textProblems = document.faults.map(({ at, found, expected }) =>
    faultAt(at, { path: "", found, expected }),
  );
  const { value, unreadable } = document;
  const checked = check(value === undefined ? {} : value, environment, unreadable);
  // Where the text is broken, what is missing is no news.
  const problems = value === undefined ? [] : [...document.problems, ...checked.problems];
  return {
    ...checked,
    problems,
    file,
    faults: [...textProblems, ...toFaults(problems)].sort(byPlace),
    lineOf: (rule) =>
      document.positionOf(
        document.offsetOf({ path: ["rules", rule], part: "value", found: "", expected: "" }),
      ).line,
    toFaults,
  };
}

function byPlace(a: RulesProblem, b: RulesProblem): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}
