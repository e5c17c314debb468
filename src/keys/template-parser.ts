import { LockConfigError } from "../errors.ts";
import { separatorOf } from "./escape.ts";
import { RESERVED_PREFIX } from "./normalise.ts";
import { nearest } from "../nearest.ts";
import { Scanner } from "./scanner.ts";
import { TemplateError, type TemplateProblem } from "./template-problem.ts";
import * as hints from "./template-hints.ts";
import { describeValue } from "../sentences.ts";

/** Where a path starts. */
type Root = "data" | "name" | "id" | "queueName" | "opts";

/** One step of a path: a property, the element of an array, or each of its elements. */
export type PathStep =
  { kind: "property"; name: string } | { kind: "index"; index: number } | { kind: "each" };

/** A way into a job. */
export interface TemplatePath {
  root: Root;
  steps: PathStep[];
}

/** What stands between `{{` and `}}`. */
export interface Placeholder {
  /** The first of them that is not missing counts. */
  paths: TemplatePath[];
  /** Stands in when all of them are. */
  fallback: string | undefined;
  /** Whether an empty string or array is missing too: after `||`, but not after `??`. */
  skipsEmpty: boolean;
  /** Whether the value is written in lower case: `lower(...)`. */
  lower: boolean;
}

/** A template taken apart: `literals` has one more element, and one stands before each placeholder. */
export interface ParsedTemplate {
  literals: string[];
  placeholders: Placeholder[];
}

const ROOTS: readonly Root[] = ["data", "name", "id", "queueName", "opts"];
const ROOTS_IN_WORDS = "data, name, id, queueName or opts";

// A newline at the end of a YAML block, for one, would make a different key that looks the same.
const FORBIDDEN = /[\p{Control}\p{Surrogate}]/u;

const LITERAL = /[^\\{}$<%]+/y;
const ESCAPE = /\\(\{\{|\$\{(?!\{)|[!-/:-@[-`{-~])/y;
const SPACE = / */y;
const NAME = /[\p{ID_Continue}$-]+/uy;
const INDEX = /0|[1-9]\d{0,14}/y;
const QUOTED = /"(?:[^"\\]|\\["'\\])*"|'(?:[^'\\]|\\["'\\])*'/y;
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LOWER = /lower *\( */y;
const LOWER_AT_START = /^ *lower *\(/;
/** In a path, these have a space where none is allowed. */
const SPACE_BEFORE_STEP = / +[.[]/y;
const OPERATOR = /\?\?|\|\|/y;
/** How much is looked at for the name of a function. */
const LONGEST_CALL = 64;

/**
 * Takes a template apart.
 *
 * @param path names the template in the message.
 * @throws {LockConfigError} that shows the column with a caret.
 */
export function parse(template: string, path = "key"): ParsedTemplate {
  if (typeof template !== "string")
    throw new LockConfigError({
      path,
      found: describeValue(template),
      expected: path === "key" ? "a key template, several, or a function" : "a key template",
    });
  return new Parser(template, path).parse();
}

/** Finds all that is wrong with a template, where {@link parse} throws the first of it. */
export function findTemplateProblems(template: string): TemplateProblem[] {
  return new Parser(template, "key").findProblems();
}

/** Reads a path alone, such as `data.items[*].sku`. @throws {LockConfigError} as {@link parse}. */
export function parsePath(text: string, path: string): TemplatePath {
  return new Parser(text, path).parsePath();
}

class Parser extends Scanner {
  #isInside = false;
  /** How many escaped braces are open: what closes one of them needs no escape. */
  #open = 0;

  parse(): ParsedTemplate {
    this.#refuseForbidden();
    const parts = this.#parts();
    this.#refuseAccidents(parts.literals);
    return parts;
  }

  /** Goes on behind the placeholder in which a fault is, or with the next placeholder. */
  findProblems(): TemplateProblem[] {
    const problems: TemplateProblem[] = [];
    for (;;) {
      try {
        if (problems.length === 0) this.parse();
        else this.#parts();
        return problems;
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
        // Of characters that are forbidden everywhere, the first is told, as such.
        const character = String.fromCodePoint(this.text.codePointAt(error.problem.at) ?? 0x20);
        if (problems.length === 0 || !FORBIDDEN.test(character)) problems.push(error.problem);
        const next = this.text.indexOf(this.#isInside ? "}}" : "{{", this.at);
        this.at = next === -1 ? this.text.length : this.#isInside ? next + 2 : next;
        this.#isInside = false;
      }
    }
  }

  #parts(): ParsedTemplate {
    const literals = [""];
    const placeholders: Placeholder[] = [];
    while (this.at < this.text.length) {
      const start = this.at;
      if (this.text.startsWith("{{", start)) {
        this.#requireSeparator(literals, start);
        placeholders.push(this.#placeholder(start));
        literals.push("");
      } else literals.push((literals.pop() ?? "") + this.#literal());
    }
    return { literals, placeholders };
  }

  parsePath(): TemplatePath {
    this.#refuseForbidden();
    if (LOWER_AT_START.test(this.text)) this.fail('"lower("', hints.NO_FUNCTIONS_IN_CONDITIONS);
    const path = this.#readPath();
    this.#refuseSpace(/ /y);
    if (this.at < this.text.length) this.fail(this.found(), "., [ or the end");
    return path;
  }

  #literal(): string {
    if (this.#open > 0 && this.takes("}")) return this.#counted("}");
    this.#refuseForeign();
    const escaped = this.match(ESCAPE);
    if (escaped !== undefined) return this.#counted(escaped.slice(1));
    if (this.text[this.at] === "\\")
      this.fail("a backslash", String.raw`one of the escapes \{{ and \{ and \\`);
    return this.match(LITERAL) ?? this.next();
  }

  #counted(braces: string): string {
    for (const brace of braces)
      this.#open = Math.max(0, this.#open + (brace === "{" ? 1 : brace === "}" ? -1 : 0));
    return braces;
  }

  #refuseForeign(): void {
    const start = this.at;
    const foreign = this.match(hints.FOREIGN);
    if (foreign === undefined) return;
    const { found, expected } = hints.hintAboutForeign(foreign);
    this.fail(found, expected, start);
  }

  #placeholder(start: number): Placeholder {
    this.#isInside = this.takes("{{");
    const placeholder = this.#inside(start);
    this.#isInside = false;
    return placeholder;
  }

  #inside(start: number): Placeholder {
    this.match(SPACE);
    const lower = this.match(LOWER) !== undefined;
    const chain = this.#chain();
    this.match(SPACE);
    if (lower && !this.takes(")")) this.#failAfter(chain, ")");
    this.match(SPACE);
    if (this.takes("}}")) return { ...chain, lower };
    if (this.at === this.text.length) this.fail("{{ without an end", "}} after it", start);
    return lower ? this.fail(this.found(), "}}") : this.#failAfter(chain, "}}");
  }

  /** Reads paths and a default between operators. */
  #chain(): Omit<Placeholder, "lower"> {
    const paths = [this.#readPath()];
    let operator: string | undefined;
    for (;;) {
      this.match(SPACE);
      const start = this.at;
      const next = this.match(OPERATOR);
      const skipsEmpty = (next ?? operator) === "||";
      if (next === undefined) return { paths, fallback: undefined, skipsEmpty };
      if (operator !== undefined && next !== operator)
        this.fail(`${next} beside ${operator}`, "one of them in a placeholder", start);
      operator = next;
      this.match(SPACE);
      const fallback = this.#fallback();
      if (fallback !== undefined) return { paths, fallback, skipsEmpty };
      paths.push(this.#readPath('; or a default: a quoted string such as "eu", or a number'));
    }
  }

  #failAfter({ fallback }: Omit<Placeholder, "lower">, end: string): never {
    const hint = hints.hintAfterPath(this.text.slice(this.at));
    return fallback === undefined
      ? this.fail(this.found(), hint ?? `., [, ??, || or ${end}`)
      : this.fail(this.found(), `${end}: a default is never missing`);
  }

  #readPath(or = ""): TemplatePath {
    const root = this.#root(or);
    return { root, steps: this.#steps(root) };
  }

  #root(or: string): Root {
    const start = this.at;
    const call = hints.hintAboutCall(this.text.slice(start, start + LONGEST_CALL));
    if (call !== undefined) this.fail(call.found, call.expected);
    const name = this.match(NAME);
    const root = ROOTS.find((root) => root === name);
    if (root !== undefined) return root;
    if (name === undefined) return this.fail(this.found(), ROOTS_IN_WORDS + or);
    const meant = nearest(name, ROOTS);
    const guess = meant === undefined ? or : `; did you mean "${meant}"?`;
    const hint = Object.hasOwn(hints.ROOT_HINTS, name) ? hints.ROOT_HINTS[name] : guess;
    return this.fail(`"${name}"`, `${ROOTS_IN_WORDS}${hint}`, start);
  }

  #steps(root: Root): PathStep[] {
    const steps: PathStep[] = [];
    for (;;) {
      const start = this.at;
      this.#refuseSpace(SPACE_BEFORE_STEP);
      if (this.takes(".")) steps.push({ kind: "property", name: this.#name() });
      else if (this.takes("[")) steps.push(this.#bracket());
      else if (root === "opts" && steps.length === 0)
        return this.fail("opts alone", "a part of it, such as opts.priority", start - root.length);
      else return steps;
      if (root !== "data" && root !== "opts")
        this.fail(`a part of ${root}`, `${root} alone, because it is a string`, start);
    }
  }

  #refuseSpace(token: RegExp): void {
    const start = this.at;
    if (this.match(token) !== undefined) this.fail('" "', hints.NO_SPACE, start);
  }

  #name(): string {
    this.#refuseSpace(/ /y);
    return (
      this.match(NAME) ?? this.fail(this.found(), 'a name; others are quoted: data["odd name"]')
    );
  }

  #bracket(): PathStep {
    this.#refuseSpace(/ /y);
    const quoted = this.#quoted("name");
    const index = quoted === undefined ? this.match(INDEX) : undefined;
    const step: PathStep =
      quoted !== undefined
        ? { kind: "property", name: unquote(quoted) }
        : index !== undefined
          ? { kind: "index", index: Number(index) }
          : { kind: "each" };
    if (step.kind === "each" && !this.takes("*"))
      this.fail(this.found(), "an index, *, or a quoted name");
    this.#refuseSpace(/ /y);
    if (!this.takes("]")) this.fail(this.found(), "]");
    return step;
  }

  #fallback(): string | undefined {
    const start = this.at;
    const quoted = this.#quoted("default");
    if (quoted !== undefined)
      return unquote(quoted) || this.fail("an empty default", "at least one character", start);
    const number = this.match(NUMBER);
    // As in rules, a value is what is written: 007 would be 7, and a long number another one.
    const read = String(Number(number));
    if (number === undefined || number === read) return number;
    if (!Number.isFinite(Number(number))) this.fail(number, "a finite number", start);
    const isExact = Math.abs(Number(number)) <= Number.MAX_SAFE_INTEGER;
    const text = `"${number}" in quotes`;
    const expected = isExact ? `${read}, or ${text}` : text;
    return this.fail(`${number}, which is read as ${read}`, expected, start);
  }

  #quoted(what: string): string | undefined {
    const quoted = this.match(QUOTED);
    const quote = /["']/.exec(this.text[this.at] ?? "")?.[0];
    if (quoted === undefined && quote !== undefined) {
      if (!this.text.includes(quote, this.at + 1))
        this.fail("a quote without an end", `the same quote behind the ${what}`);
      this.fail("an unknown escape between quotes", String.raw`\\ or \${quote}`);
    }
    return quoted;
  }

  #refuseForbidden(): void {
    const forbidden = FORBIDDEN.exec(this.text);
    if (forbidden === null) return;
    const code = forbidden[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    this.fail(`the character U+${code}`, "text that can be read on one line", forbidden.index);
  }

  #requireSeparator(literals: readonly string[], at: number): void {
    if (literals.length > 1 && separatorOf(literals.at(-1) ?? "") === undefined)
      this.fail(
        "two values without a separator",
        'one such as ":" between them, or different values could give the same key',
        at,
      );
  }

  #refuseAccidents(literals: readonly string[]): void {
    const [first = ""] = literals;
    if (first.startsWith(RESERVED_PREFIX))
      this.fail(`"${RESERVED_PREFIX}"`, "another first character: that one is reserved", 0);
    if (literals.length > 1) return;
    if (first === "") this.fail("an empty template", "at least one character", 0);
    const bare = hints.BARE_PATH.exec(this.text);
    if (bare === null) return;
    const path = bare[0]
      .replace(/^(?:job|event)\.(?=data|opts)/, "")
      .replace(/^(?:event|input|payload|args|github)\./, "data.");
    const meant = `{{${path}}}`;
    this.fail("a path without braces", `${meant}, or \\. for the dot of a name`, bare.index);
  }
}

function unquote(quoted: string): string {
  return quoted.slice(1, -1).replace(/\\(.)/g, "$1");
}
