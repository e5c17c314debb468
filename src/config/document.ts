import { Lexer, LineCounter, parseDocument, Parser, type YAMLError } from "yaml";
import { findJsonProblem } from "./json.ts";
import type { Problem, Path } from "./problem.ts";
import type { Stretch } from "./source-line.ts";
import { describeSyntaxError, IS_LOCAL } from "./syntax-error.ts";
import { DEEPEST, EXPECTED_IN_FILE, ValueReader } from "./value-reader.ts";

/** Something wrong with the text itself, at an offset in it. */
export interface TextProblem {
  readonly at: number;
  readonly found: string;
  readonly expected: string;
}

/** A text of YAML or JSON that was read: the value, and where its parts are. */
export interface SourceDocument {
  /** `undefined` when the text is so wrong that there is none. */
  readonly value: unknown;
  readonly faults: readonly TextProblem[];
  /** What is wrong with single values, as they are written. */
  readonly problems: readonly Problem[];
  /** Where the value has something that stands for what cannot be read. */
  readonly unreadable: readonly Path[];
  /** Where its values and names are; none when the text is so wrong that their places are not known. */
  readonly stretches: readonly Stretch[];
  /** The offset of what a mistake is about, or of the nearest thing around it. */
  offsetOf(problem: Problem): number;
  /** Line and column of an offset, from 1. */
  positionOf(offset: number): { line: number; column: number };
}

/** Reads YAML, or JSON, which is YAML too but stricter. Never throws for what stands in the text. */
export function readDocument(text: string, isJson = false): SourceDocument {
  const lines = new LineCounter();
  const positionOf = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(Math.min(offset, text.length));
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const early = (isJson ? findJsonProblem(text) : undefined) ?? findTooDeep(text);
  if (early !== undefined) {
    for (const { index } of text.matchAll(/^/gm)) lines.addNewLine(index);
    const offsetOf = (): number => early.at;
    return {
      value: undefined,
      faults: [early],
      problems: [],
      unreadable: [],
      stretches: [],
      offsetOf,
      positionOf,
    };
  }
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    // What a file means does not depend on a line in it.
    version: "1.2",
  });
  // Tags are told where values are read: those that YAML knows, too.
  const syntaxErrors = [...document.errors, ...document.warnings].filter(
    ({ code }) => code !== "TAG_RESOLVE_FAILED",
  );
  const reader = new ValueReader(document, text, new Set(syntaxErrors.map(({ pos: [at] }) => at)));
  const value = syntaxErrors.every(({ code }) => IS_LOCAL.has(code)) ? reader.read() : undefined;
  const { tooMuch, problems, unreadable } = reader;
  const stretches = tooMuch === undefined ? reader.stretches : [];
  const faults = upToBreak(syntaxErrors).map((problem) =>
    describeSyntaxError(problem, text, stretches),
  );
  return {
    value: tooMuch === undefined ? value : undefined,
    faults: tooMuch === undefined ? faults : [...faults, tooMuch],
    problems,
    unreadable,
    stretches,
    offsetOf: (problem) => reader.offsetOf(problem),
    positionOf,
  };
}

/** What is wrong up to where the structure is broken: what the parser says of the rest follows from it, or is false. */
function upToBreak(problems: readonly YAMLError[]): YAMLError[] {
  const inOrder = problems.toSorted((a, b) => a.pos[0] - b.pos[0]);
  const broken = inOrder.findIndex(({ code }) => !IS_LOCAL.has(code));
  return broken === -1 ? inOrder : inOrder.slice(0, broken + 1);
}

/** Where the text is nested too deeply, found without recursion: the parser itself would exhaust the stack. */
function findTooDeep(text: string): TextProblem | undefined {
  const parser = new Parser();
  let offset = 0;
  for (const lexeme of new Lexer().lex(text)) {
    // What it yields are whole documents, of no interest here; but it works only as far as it is asked to.
    for (const _ of parser.next(lexeme));
    // Each level has at most two entries: the collection and the item in it.
    if (parser.stack.length > 2 * DEEPEST)
      return {
        at: offset,
        found: `more than ${DEEPEST} levels of nesting`,
        expected: EXPECTED_IN_FILE,
      };
    offset = parser.offset;
  }
  return undefined;
}
