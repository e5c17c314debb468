import { nearest } from "../nearest.ts";
import { Scanner } from "./scanner.ts";
import * as hints from "./template-hints.ts";

/** The part of a job that a path begins with. */
type Root = "data" | "name" | "id" | "queueName" | "opts";

/** A step of a path: a property, the element of an array, or each of its elements. */
export type PathStep =
  | { kind: "property"; name: string }
  | { kind: "index"; index: number }
  | { kind: "each" };

/** A path into a job. */
export interface TemplatePath {
  root: Root;
  steps: PathStep[];
}

const ROOTS: readonly Root[] = ["data", "name", "id", "queueName", "opts"];
const ROOTS_IN_WORDS = "data, name, id, queueName or opts";

// The newline at the end of a YAML block, for one, would give a different key that looks the same.
export const FORBIDDEN = /[\p{Control}\p{Surrogate}]/u;

const NAME = /[\p{ID_Continue}$-]+/uy;
const INDEX = /0|[1-9]\d{0,14}/y;
const QUOTED = /"(?:[^"\\]|\\["'\\])*"|'(?:[^'\\]|\\["'\\])*'/y;
const LOWER_AT_START = /^ *lower *\(/;
const SPACE = / /y;
const SPACE_BEFORE_STEP = / +[.[]/y;
/** The length of text that is searched for the name of a function. */
const LONGEST_CALL = 64;

/**
 * Parses a path such as `data.items[*].sku`.
 *
 * @param name the name of the path in the message.
 * @throws {LockConfigError} with a caret under the problem.
 */
export function parsePath(text: string, name: string): TemplatePath {
  return new PathParser(text, name).parseAll();
}

/** Parses a path alone, or the paths in a template. */
export class PathParser extends Scanner {
  parseAll(): TemplatePath {
    this.refuseForbidden();
    if (LOWER_AT_START.test(this.text)) this.fail('"lower("', hints.NO_FUNCTIONS_IN_CONDITIONS);
    const path = this.path();
    this.#refuseSpace(SPACE);
    if (this.at < this.text.length) this.fail(this.found(), "., [ or the end");
    return path;
  }

  /** @param or the other text that may come here, for the message. */
  protected path(or = ""): TemplatePath {
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
    const hint = hints.hintAboutRoot(name) ?? guess;
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

  #name(): string {
    this.#refuseSpace(SPACE);
    return (
      this.match(NAME) ?? this.fail(this.found(), 'a name; others are quoted: data["odd name"]')
    );
  }

  #bracket(): PathStep {
    this.#refuseSpace(SPACE);
    const name = this.quoted("name");
    const index = name === undefined ? this.match(INDEX) : undefined;
    const isEach = name === undefined && index === undefined;
    if (isEach && !this.takes("*")) this.fail(this.found(), "an index, *, or a quoted name");
    this.#refuseSpace(SPACE);
    if (!this.takes("]")) this.fail(this.found(), "]");
    if (name !== undefined) return { kind: "property", name };
    return index === undefined ? { kind: "each" } : { kind: "index", index: Number(index) };
  }

  /** Reads a text between quotes. @param what its meaning, for the message. */
  protected quoted(what: string): string | undefined {
    const quoted = this.match(QUOTED);
    if (quoted !== undefined) return quoted.slice(1, -1).replace(/\\(.)/g, "$1");
    const quote = /["']/.exec(this.text[this.at] ?? "")?.[0];
    if (quote === undefined) return undefined;
    if (!this.text.includes(quote, this.at + 1))
      this.fail("a quote without an end", `the same quote after the ${what}`);
    return this.fail("an unknown escape between quotes", `\\\\ or \\${quote}`);
  }

  #refuseSpace(token: RegExp): void {
    const start = this.at;
    if (this.match(token) !== undefined) this.fail('" "', hints.NO_SPACE, start);
  }

  protected refuseForbidden(): void {
    const forbidden = FORBIDDEN.exec(this.text);
    if (forbidden === null) return;
    const code = forbidden[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    this.fail(`the character U+${code}`, "text that can be read on one line", forbidden.index);
  }
}
