import { Lexer, LineCounter, parseDocument, Parser, type YAMLError } from "yaml";
import { type Path, type Problem, wrongSyntax } from "./problem.ts";
import type { Stretch } from "./shown.ts";
import { DEEPEST, EXPECTED_IN_FILE, ValueReader } from "./value-reader.ts";

/** A text of YAML or JSON that was read: the value, and the positions of its parts. */
interface SourceDocument {
  /** `undefined` when the syntax is so wrong that there is no value. */
  readonly value: unknown;
  /** Problems of the syntax, and of values as they are written. */
  readonly problems: readonly Problem[];
  /** Paths at which the value has a substitute for something unreadable. */
  readonly unreadable: readonly Path[];
  /** The stretches of all values and names; empty when their positions are unknown. */
  readonly stretches: readonly Stretch[];
  /** The offset of a problem, or of the nearest value around it. */
  offsetOf(problem: Problem): number;
  /** Line and column of an offset, from 1. */
  positionOf(offset: number): { line: number; column: number };
}

/** Reads YAML, or JSON, which is YAML too but stricter. Throws for no text. */
export function readDocument(text: string, isJson = false): SourceDocument {
  const lines = new LineCounter();
  const positionOf = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(Math.min(offset, text.length));
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const without = (problems: readonly Problem[], stretches: readonly Stretch[]): SourceDocument => {
    const [value, unreadable, offsetOf] = [undefined, [], syntaxOffsetOf];
    return { value, problems, unreadable, stretches, offsetOf, positionOf };
  };
  const early = findTooDeep(text);
  if (early !== undefined) {
    for (const { index } of text.matchAll(/^/gm)) lines.addNewLine(index);
    return without([early], []);
  }
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    // A directive in the file must not change the meaning of its values.
    version: "1.2",
  });
  // The value reader reports all tags, those that YAML knows too.
  const syntaxErrors = [...document.errors, ...document.warnings].filter(
    ({ code }) => code !== "TAG_RESOLVE_FAILED",
  );
  const noJson = isJson && syntaxErrors.length === 0 ? findNoJson(text) : undefined;
  if (noJson !== undefined) return without([noJson], []);
  const reader = new ValueReader(document, text, new Set(syntaxErrors.map(({ pos: [at] }) => at)));
  const isReadable = syntaxErrors.every(({ code }) => IS_LOCAL.has(code));
  const value = isReadable ? reader.read() : undefined;
  const { tooMuch, unreadable } = reader;
  const stretches = tooMuch === undefined ? reader.stretches : [];
  const problems = upToBreak(syntaxErrors).map((error) => describeError(error, text, stretches));
  if (tooMuch !== undefined) return without([...problems, tooMuch], []);
  if (!isReadable) return without(problems, stretches);
  const offsetOf = (problem: Problem): number => problem.at ?? reader.offsetOf(problem);
  problems.push(...reader.problems);
  return { value, problems, unreadable, stretches, offsetOf, positionOf };
}

/** What in YAML is no JSON. The error of `JSON.parse` repeats a part of the text, and does not always have its position. */
function findNoJson(text: string): Problem | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    // At its end alone: the message may repeat a part of the text.
    const position = / at position (\d+)(?: \(line \d+ column \d+\))?$/;
    const [, offset = "0"] = position.exec((error as Error).message) ?? [];
    return wrongSyntax(
      Number(offset),
      "YAML that is no JSON",
      "no comments, no comma after the last value, and double quotes around all texts and names; or a name of the file that ends in .yaml or .yml",
    );
  }
}

function syntaxOffsetOf({ at = 0 }: Problem): number {
  return at;
}

/** Syntax errors that leave the values around them readable. */
const IS_LOCAL: ReadonlySet<string> = new Set<YAMLError["code"]>([
  "DUPLICATE_KEY",
  "NON_STRING_KEY",
  "BAD_SCALAR_START",
  "BAD_ALIAS",
  "MULTIPLE_DOCS",
]);

/** Removes the errors after the first that breaks the structure: they follow from it. */
function upToBreak(errors: readonly YAMLError[]): YAMLError[] {
  const inOrder = errors.toSorted((a, b) => a.pos[0] - b.pos[0]);
  const broken = inOrder.findIndex(({ code }) => !IS_LOCAL.has(code));
  return broken === -1 ? inOrder : inOrder.slice(0, broken + 1);
}

/** Finds where the text is nested too deeply, without recursion: the parser itself would exhaust the stack. */
function findTooDeep(text: string): Problem | undefined {
  const parser = new Parser();
  let offset = 0;
  for (const lexeme of new Lexer().lex(text)) {
    // The parser works only as far as its documents are asked for.
    for (const _ of parser.next(lexeme));
    // Each level has at most two entries: the collection and the item in it.
    if (parser.stack.length > 2 * DEEPEST)
      return wrongSyntax(offset, `more than ${DEEPEST} levels of nesting`, EXPECTED_IN_FILE);
    offset = parser.offset;
  }
  return undefined;
}

/** Describes a syntax error. @param stretches without them, no word of the text is repeated. */
function describeError(
  { code, message, pos: [start, end] }: YAMLError,
  text: string,
  stretches: readonly Stretch[],
): Problem {
  // At the end of the file, the problem is after its last character.
  const at = Math.min(start, text.trimEnd().length);
  const shown = stretches.find((each) => each.isShown && each.start === at);
  const word = shown && text.slice(shown.start, shown.end).split("\n", 1)[0];
  const next = text.indexOf("\n", at);
  const line = text.slice(text.lastIndexOf("\n", at - 1) + 1, next === -1 ? undefined : next);
  const isBraced = text.slice(at, end + 2).includes("{");
  const braces = "braces that are read as an object";
  if (isBraced && (code === "NON_STRING_KEY" || line.includes("{{")))
    return wrongSyntax(at, braces, 'a template in quotes: "account:{{data.accountId}}"');
  if (/(^|[[,\s])\$\{/.test(line) && code !== "DUPLICATE_KEY")
    return wrongSyntax(at, braces, 'a variable in quotes: "${NAME}"');
  if (code === "MULTIPLE_DOCS") return wrongSyntax(at, "a second document", "one");
  if (code === "NON_STRING_KEY")
    return wrongSyntax(at, "a name that is no text", "the name of an option");
  if (code === "DUPLICATE_KEY")
    return wrongSyntax(at, `${word ?? "a name"} a second time`, "each name once");
  if (code === "BAD_ALIAS" || code === "BAD_SCALAR_START") {
    const quoted = word === undefined ? "quotes around it" : `"${word}"`;
    const because = "YAML does not allow this character at the start of a text without quotes";
    return wrongSyntax(at, `${word ?? "a text"} without quotes`, `${quoted}: ${because}`);
  }
  return wrongSyntax(at, `text that is no YAML: ${nameError(code, message)}`, "YAML or JSON");
}

/** The message of the parser without the part of the text that some of them end with: it may be a secret. */
function nameError(code: string, message: string): string {
  return code.startsWith("BAD_D")
    ? code.toLowerCase().replaceAll("_", " ")
    : message.replace(/(?<=\w): .*/s, "");
}
