import {
  type Document as YamlDocument,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Pair,
  parseDocument,
  Parser,
  type Range,
} from "yaml";
import { type Mistake, NOTHING } from "./mistake.ts";
import { type Path, writePath } from "./path.ts";
import { describeSyntaxError } from "./syntax-error.ts";

/** Something wrong with the text itself, at an offset in it. */
export interface TextFault {
  readonly at: number;
  readonly found: string;
  readonly expected: string;
}

/** A text of YAML or JSON that was read: the value, and where its parts are. */
export interface SourceDocument {
  /** `undefined` when the text is so wrong that there is none. */
  readonly value: unknown;
  readonly faults: readonly TextFault[];
  /** The offset of what a mistake is about, or of the nearest thing around it. */
  offsetOf(mistake: Mistake): number;
  /** Line and column of an offset, from 1. */
  placeOf(offset: number): { line: number; column: number };
}

/** Deeper than any rules file, and flat enough for every recursion. */
const DEEPEST = 50;
/** How many values aliases may repeat: a few lines can stand for billions. */
const MOST_REPEATED = 20_000;

/** Reads YAML, and JSON, which is YAML too. Never throws for what stands in the text. */
export function readDocument(text: string): SourceDocument {
  const lines = new LineCounter();
  const placeOf = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(Math.min(offset, text.length));
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const early = findComment(text) ?? findTooDeep(text);
  if (early !== undefined) {
    for (const { index } of text.matchAll(/^/gm)) lines.addNewLine(index);
    return {
      value: undefined,
      faults: [early],
      offsetOf: () => early.at,
      placeOf,
    };
  }
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    // What a file means does not depend on a line in it.
    version: "1.2",
  });
  const problems = [...document.errors, ...document.warnings];
  const faults: TextFault[] = problems.map((problem) => describeSyntaxError(problem, text));
  const fatal = problems.some(({ code }) => code !== "DUPLICATE_KEY");
  const reader = new Reader(document);
  const read = fatal ? undefined : reader.read();
  const value = reader.faults.length > 0 ? undefined : read;
  return {
    value,
    faults: [...faults, ...reader.faults],
    offsetOf: (mistake) => reader.offsetOf(mistake, text),
    placeOf,
  };
}

/** A comment of JavaScript in JSON, which YAML would take for part of a name. */
function findComment(text: string): TextFault | undefined {
  if (!text.trimStart().startsWith("{")) return undefined;
  const tokens = text.matchAll(/"(?:[^"\\]|\\.)*"|#.*|(?<=[\s,{}[\]])(\/[/*])/g);
  const comment = Array.from(tokens).find(([, mark]) => mark !== undefined);
  return (
    comment && { at: comment.index, found: "a comment", expected: "none: JSON has no comments" }
  );
}

/** Where the text is nested too deeply, found without recursion: the parser itself would exhaust the stack. */
function findTooDeep(text: string): TextFault | undefined {
  const parser = new Parser();
  let offset = 0;
  for (const lexeme of new Lexer().lex(text)) {
    // What it yields are whole documents, of no interest here; but it works only as far as it is asked to.
    for (const _ of parser.next(lexeme));
    // Each level has at most two entries: the collection and the item in it.
    if (parser.stack.length > 2 * DEEPEST) {
      const found = `more than ${DEEPEST} levels of nesting`;
      return { at: offset, found, expected: "nodes, options and rules" };
    }
    offset = parser.offset;
  }
  return undefined;
}

interface Ranges {
  readonly name: Range | undefined;
  readonly value: Range | undefined;
}

/** Makes values of nodes, and remembers where they stand. */
class Reader {
  readonly faults: TextFault[] = [];
  readonly #document: YamlDocument.Parsed;
  readonly #ranges = new Map<string, Ranges>();
  #aliases = 0;
  #repeated = 0;

  constructor(document: YamlDocument.Parsed) {
    this.#document = document;
  }

  read(): unknown {
    const { contents } = this.#document;
    this.#ranges.set("", { name: undefined, value: rangeOf(contents) });
    return this.#valueOf(contents, [], 0);
  }

  offsetOf({ path, part, offset }: Mistake, text: string): number {
    for (let length = path.length; length >= 0; length--) {
      const ranges = this.#ranges.get(writePath(path.slice(0, length)));
      const range = (part === "value" && ranges?.value) || ranges?.name || ranges?.value;
      if (range === undefined) continue;
      const [start, end] = range;
      const isWhole = length === path.length && range === ranges?.[part];
      return isWhole ? start + offsetInScalar(text.slice(start, end), offset) : start;
    }
    return 0;
  }

  #valueOf(node: unknown, path: Path, depth: number): unknown {
    if (this.#aliases > 0) this.#repeated += 1;
    if (this.#repeated > MOST_REPEATED || depth > 2 * DEEPEST) {
      return this.#refuse(node, `more than ${MOST_REPEATED} values, or an alias inside of itself`);
    }
    if (isAlias(node)) {
      const target = node.resolve(this.#document);
      if (target === undefined)
        return this.#refuse(
          node,
          `an alias without an anchor: *${node.source}`,
          `"*${node.source}" in quotes, if it is a pattern`,
        );
      this.#aliases += 1;
      const value = this.#valueOf(target, path, depth + 1);
      this.#aliases -= 1;
      return value;
    }
    if (isMap(node)) return this.#objectOf(node.items, path, depth);
    if (isSeq(node)) {
      return node.items.map((item, index) => {
        const at = [...path, index];
        this.#ranges.set(writePath(at), { name: undefined, value: rangeOf(item) });
        return this.#valueOf(item, at, depth + 1);
      });
    }
    const isWritten = rangeOf(node) !== undefined;
    return isScalar(node) && isWritten ? node.value : path[0] === "rules" ? NOTHING : null;
  }

  #objectOf(pairs: readonly Pair[], path: Path, depth: number): unknown {
    const object: Record<string, unknown> = {};
    for (const { key, value } of pairs) {
      const name = isScalar(key) ? String(key.value) : "";
      const at = [...path, name];
      this.#ranges.set(writePath(at), { name: rangeOf(key), value: rangeOf(value) });
      // An assignment to __proto__ would set the prototype.
      Object.defineProperty(object, name, {
        value: this.#valueOf(value, at, depth + 1),
        enumerable: true,
        writable: true,
        configurable: true,
      });
    }
    return object;
  }

  #refuse(node: unknown, found: string, expected = "nodes, options and rules"): undefined {
    // One of them is told; the rest follows from it.
    if (this.faults.length > 0) return undefined;
    const [at = 0] = rangeOf(node) ?? [];
    this.faults.push({ at, found, expected });
    return undefined;
  }
}

function rangeOf(node: unknown): Range | undefined {
  const range =
    isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range : undefined;
  // An empty value has a place of its own, behind the line; its name is what people look at.
  return range && range[0] < range[1] ? range : undefined;
}

/** Where in the source an offset of the value is: known when it is written as it is, but for quotes. */
function offsetInScalar(source: string, offset: number | undefined): number {
  // An alias stands for a text that is elsewhere.
  if (offset === undefined || source.startsWith("*")) return 0;
  const isQuoted = /^(["']).*\1$/s.test(source);
  return source.includes("\n") || (isQuoted && /\\|''/.test(source))
    ? 0
    : offset + (isQuoted ? 1 : 0);
}
