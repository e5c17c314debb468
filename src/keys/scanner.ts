import { displayWidth } from "../display-width.ts";
import { LockConfigError } from "../errors.ts";
import { printable } from "../printable.ts";

/** A problem of a template. */
export interface TemplateProblem {
  /** The index in the template, in UTF-16 code units. */
  at: number;
  found: string;
  expected: string;
}

/** The number of characters shown before and after the problem. */
const CONTEXT = 40;

/** A template with a problem. The message has its column, and a caret under its position. */
export class TemplateError extends LockConfigError {
  readonly problem: TemplateProblem;

  constructor(template: string, problem: TemplateProblem, path: string) {
    const { at, found, expected } = problem;
    const before = Array.from(template.slice(0, at));
    const after = Array.from(template.slice(at));
    const left =
      before.length > CONTEXT ? `...${before.slice(-CONTEXT).join("")}` : before.join("");
    const right =
      after.length > CONTEXT ? `${after.slice(0, CONTEXT).join("")}...` : after.join("");
    const line = printable(`${left}${right}`);
    super({
      path,
      found: `${found} at column ${before.length + 1}`,
      expected: `${expected}\n  ${line}\n  ${" ".repeat(displayWidth(left))}^`,
    });
    this.problem = problem;
  }
}

/** Reads a template token by token. */
export class Scanner {
  protected readonly text: string;
  protected at = 0;
  readonly #path: string;

  /** @param path the name of the template in messages. */
  constructor(text: string, path: string) {
    this.text = text;
    this.#path = path;
  }

  /** Takes a token that matches a sticky pattern. */
  protected match(token: RegExp): string | undefined {
    token.lastIndex = this.at;
    const matched = token.exec(this.text)?.[0];
    this.at += matched?.length ?? 0;
    return matched;
  }

  protected takes(token: string): boolean {
    const taken = this.text.startsWith(token, this.at);
    if (taken) this.at += token.length;
    return taken;
  }

  protected next(): string {
    this.at += 1;
    return this.text[this.at - 1] ?? "";
  }

  /** Describes the next character. */
  protected found(): string {
    const character = this.text.codePointAt(this.at);
    return character === undefined ? "the end" : `"${String.fromCodePoint(character)}"`;
  }

  protected fail(found: string, expected: string, at = this.at): never {
    throw new TemplateError(this.text, { at, found, expected }, this.#path);
  }
}
