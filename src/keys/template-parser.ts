import { LockConfigError, describeValue } from "../errors.ts";
import { separatorOf } from "./escape.ts";
import { RESERVED_PREFIX } from "./normalise.ts";
import { nearest } from "../nearest.ts";
import { TemplateError } from "./template-fault.ts";

/** Where a path starts. */
type Root = "data" | "name" | "id" | "queueName" | "opts";

/** One step of a path: a property, the element of an array, or each of its elements. */
export type Step =
  { kind: "property"; name: string } | { kind: "index"; index: number } | { kind: "each" };

/** What stands between `{{` and `}}`. */
export interface Placeholder {
  root: Root;
  steps: Step[];
  /** Stands in for a value that is missing or null. */
  fallback: string | undefined;
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

const LITERAL = /[^\\{]+/y;
const ESCAPE = /\\(\{\{|\{|\\)/y;
const SPACE = / */y;
const NAME = /[\p{ID_Continue}$-]+/uy;
const INDEX = /0|[1-9]\d{0,14}/y;
const QUOTED = /"(?:[^"\\]|\\["'\\])*"|'(?:[^'\\]|\\["'\\])*'/y;
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

// Both would be constant keys, one lock for all jobs, where a path was meant.
const SINGLE_BRACE = /(?=\{ *(?:data|name|id|queueName|opts) *[.[}])/y;
const BARE_PATH = /^(?:job\.)?(?:data|opts)[.[]/;

/**
 * Takes a template apart.
 *
 * @throws {LockConfigError} that shows the column with a caret.
 */
export function parse(template: string): ParsedTemplate {
  if (typeof template !== "string")
    throw new LockConfigError({
      path: "key",
      found: describeValue(template),
      expected: "a key template or a function",
    });
  return new Parser(template).parse();
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): ParsedTemplate {
    this.#refuseForbidden();
    const literals = [""];
    const placeholders: Placeholder[] = [];
    while (this.#at < this.#text.length) {
      const start = this.#at;
      if (this.#takes("{{")) {
        this.#requireSeparator(literals, start);
        placeholders.push(this.#placeholder(start));
        literals.push("");
      } else literals.push((literals.pop() ?? "") + this.#literal());
    }
    this.#refuseAccidents(literals);
    return { literals, placeholders };
  }

  #literal(): string {
    if (this.#match(SINGLE_BRACE) !== undefined)
      this.#fail("a single brace", String.raw`{{ before a path, or \{ for a brace`);
    const escaped = this.#match(ESCAPE);
    if (escaped !== undefined) return escaped.slice(1);
    if (this.#text[this.#at] === "\\")
      this.#fail("a backslash", String.raw`one of the escapes \{{ and \{ and \\`);
    return this.#match(LITERAL) ?? this.#next();
  }

  #placeholder(start: number): Placeholder {
    this.#match(SPACE);
    const root = this.#root();
    const steps = this.#steps(root);
    this.#match(SPACE);
    const fallback = this.#takes("??") ? this.#fallback() : undefined;
    this.#match(SPACE);
    if (this.#takes("}}")) return { root, steps, fallback };
    if (this.#at === this.#text.length) this.#fail("{{ without an end", "}} after it", start);
    return this.#fail(this.#found(), fallback === undefined ? "., [, ?? or }}" : "}}");
  }

  #root(): Root {
    const start = this.#at;
    const name = this.#match(NAME);
    const root = ROOTS.find((root) => root === name);
    if (root !== undefined) return root;
    if (name === undefined) return this.#fail(this.#found(), ROOTS_IN_WORDS);
    const meant = nearest(name, ROOTS);
    const hint =
      name === "job"
        ? '; leave out "job."'
        : meant === undefined
          ? ""
          : `; did you mean "${meant}"?`;
    return this.#fail(`"${name}"`, ROOTS_IN_WORDS + hint, start);
  }

  #steps(root: Root): Step[] {
    const steps: Step[] = [];
    for (;;) {
      const start = this.#at;
      if (this.#takes(".")) steps.push({ kind: "property", name: this.#name() });
      else if (this.#takes("[")) steps.push(this.#bracket());
      else return steps;
      if (root !== "data" && root !== "opts")
        this.#fail(`a part of ${root}`, `${root} alone, because it is a string`, start);
    }
  }

  #name(): string {
    return (
      this.#match(NAME) ?? this.#fail(this.#found(), 'a name; others are quoted: data["odd name"]')
    );
  }

  #bracket(): Step {
    const quoted = this.#match(QUOTED);
    const index = quoted === undefined ? this.#match(INDEX) : undefined;
    const step: Step =
      quoted !== undefined
        ? { kind: "property", name: unquote(quoted) }
        : index !== undefined
          ? { kind: "index", index: Number(index) }
          : { kind: "each" };
    if (step.kind === "each" && !this.#takes("*"))
      this.#fail(this.#found(), "an index, *, or a quoted name");
    if (!this.#takes("]")) this.#fail(this.#found(), "]");
    return step;
  }

  #fallback(): string {
    this.#match(SPACE);
    const start = this.#at;
    const quoted = this.#match(QUOTED);
    if (quoted !== undefined)
      return unquote(quoted) || this.#fail("an empty default", "at least one character", start);
    const number = this.#match(NUMBER);
    if (number === undefined)
      return this.#fail(this.#found(), 'a default: a quoted string such as "eu", or a number');
    return Number.isFinite(Number(number))
      ? String(Number(number))
      : this.#fail(number, "a finite number", start);
  }

  #refuseForbidden(): void {
    const forbidden = FORBIDDEN.exec(this.#text);
    if (forbidden === null) return;
    const code = forbidden[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    this.#fail(`the character U+${code}`, "text that can be read on one line", forbidden.index);
  }

  #requireSeparator(literals: readonly string[], at: number): void {
    if (literals.length > 1 && separatorOf(literals.at(-1) ?? "") === undefined)
      this.#fail(
        "two values without a separator",
        'one such as ":" between them, or different values could give the same key',
        at,
      );
  }

  #refuseAccidents(literals: readonly string[]): void {
    const [first = ""] = literals;
    if (first.startsWith(RESERVED_PREFIX))
      this.#fail(`"${RESERVED_PREFIX}"`, "another first character: that one is reserved", 0);
    if (literals.length > 1) return;
    if (first === "") this.#fail("an empty template", "at least one character", 0);
    if (BARE_PATH.test(first))
      this.#fail("a path without braces", `{{${first.replace(/^job\./, "")}}}`, 0);
  }

  #match(token: RegExp): string | undefined {
    token.lastIndex = this.#at;
    const matched = token.exec(this.#text)?.[0];
    this.#at += matched?.length ?? 0;
    return matched;
  }

  #takes(token: string): boolean {
    const taken = this.#text.startsWith(token, this.#at);
    if (taken) this.#at += token.length;
    return taken;
  }

  #next(): string {
    this.#at += 1;
    return this.#text[this.#at - 1] ?? "";
  }

  #found(): string {
    const character = this.#text.codePointAt(this.#at);
    return character === undefined ? "the end" : `"${String.fromCodePoint(character)}"`;
  }

  #fail(found: string, expected: string, at = this.#at): never {
    throw new TemplateError(this.#text, { at, found, expected });
  }
}

function unquote(quoted: string): string {
  return quoted.slice(1, -1).replace(/\\(.)/g, "$1");
}
