import { TemplateError } from "./template-problem.ts";

/** Goes through a text, token by token. */
export class Scanner {
  protected readonly text: string;
  protected at = 0;
  readonly #path: string;

  /** @param path names the text in the message of an error. */
  constructor(text: string, path: string) {
    this.text = text;
    this.#path = path;
  }

  /** Takes a token that is given by a sticky pattern. */
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

  /** Names the character that comes next. */
  protected found(): string {
    const character = this.text.codePointAt(this.at);
    return character === undefined ? "the end" : `"${String.fromCodePoint(character)}"`;
  }

  protected fail(found: string, expected: string, at = this.at): never {
    throw new TemplateError(this.text, { at, found, expected }, this.#path);
  }
}
