import { wrongOption } from "../check-options.ts";
import { separatorOf } from "./key-text.ts";
import { RESERVED_PREFIX } from "./normalise.ts";
import { FORBIDDEN, PathParser, type TemplatePath } from "./path-parser.ts";
import { TemplateError, type TemplateProblem } from "./scanner.ts";
import * as hints from "./template-hints.ts";

/** The contents of `{{` and `}}`. */
export interface Placeholder {
  /** The first path with a value counts. */
  paths: TemplatePath[];
  /** The value when all paths are without one. */
  fallback: string | undefined;
  /** Whether an empty string or array counts as missing, as before `||`, but not before `??`. */
  skipsEmpty: boolean;
  /** Whether the value is written in lower case: `lower(...)`. */
  lower: boolean;
}

/** The parts of a template. `literals` has one more element: the last comes after all placeholders. */
export interface ParsedTemplate {
  literals: string[];
  placeholders: Placeholder[];
}

const LITERAL = /[^\\{}$<%]+/y;
const ESCAPE = /\\(\{\{|\$\{(?!\{)|[!-/:-@[-`{-~])/y;
const SPACE = / */y;
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LOWER = /lower *\( */y;
const OPERATOR = /\?\?|\|\|/y;
/**
 * Parses a template.
 *
 * @param path the name of the template in the message.
 * @throws {LockConfigError} with a caret under the first problem.
 */
export function parse(template: string, path = "key"): ParsedTemplate {
  if (typeof template !== "string")
    throw wrongOption(
      path,
      template,
      path === "key" ? "a key template, several, or a function" : "a key template",
    );
  return new TemplateParser(template, path).parse();
}

/** Finds all problems of a template. */
export function findTemplateProblems(template: string): TemplateProblem[] {
  return new TemplateParser(template, "key").findProblems();
}

class TemplateParser extends PathParser {
  #isInside = false;
  /** The number of open escaped braces: their closing braces need no escape. */
  #open = 0;

  parse(): ParsedTemplate {
    this.refuseForbidden();
    const parts = this.#parts();
    this.#refuseAccidents(parts.literals);
    return parts;
  }

  /** Continues after the placeholder with a problem, or with the next placeholder. */
  findProblems(): TemplateProblem[] {
    const problems: TemplateProblem[] = [];
    for (;;) {
      try {
        if (problems.length === 0) this.parse();
        else this.#parts();
        return problems;
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
        // The first forbidden character is reported as such; a parser that meets another one reports it in other words.
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
    const paths = [this.path()];
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
      paths.push(this.path('; or a default: a quoted string such as "eu", or a number'));
    }
  }

  #failAfter({ fallback }: Omit<Placeholder, "lower">, end: string): never {
    const hint = hints.hintAfterPath(this.text.slice(this.at));
    return fallback === undefined
      ? this.fail(this.found(), hint ?? `., [, ??, || or ${end}`)
      : this.fail(this.found(), `${end}: a default is never missing`);
  }

  #fallback(): string | undefined {
    const start = this.at;
    const quoted = this.quoted("default");
    if (quoted === "") this.fail("an empty default", "at least one character", start);
    if (quoted !== undefined) return quoted;
    const number = this.match(NUMBER);
    // As in rules, a number must be what is written: 007 would be 7, and a long number is rounded.
    const read = String(Number(number));
    if (number === undefined || number === read) return number;
    if (!Number.isFinite(Number(number))) this.fail(number, "a finite number", start);
    const isExact = Math.abs(Number(number)) <= Number.MAX_SAFE_INTEGER;
    const text = `"${number}" in quotes`;
    const expected = isExact ? `${read}, or ${text}` : text;
    return this.fail(`${number}, which is read as ${read}`, expected, start);
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
