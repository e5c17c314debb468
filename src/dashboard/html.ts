import { printable } from "../printable.ts";

/** HTML that may be sent as it is. Only {@link html} makes it from values. */
export class Html {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** A value in a template; `undefined` and `false` write nothing. */
export type Part = Html | string | number | undefined | false | readonly Part[];

/**
 * Makes HTML of a template. Texts are escaped for elements and quoted attributes. Control characters, also of text direction, become
 * U+FFFD.
 */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(
    strings.map((text, index) => (index === 0 ? "" : render(parts[index - 1])) + text).join(""),
  );
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function render(part: Part): string {
  if (part === undefined || part === false) return "";
  if (part instanceof Html) return part.toString();
  if (Array.isArray(part)) return part.map(render).join("");
  return printable(String(part)).replace(/[&<>"']/g, (character) => ESCAPES[character] ?? "");
}
