/** A line of a file as it may be shown: cut, printable and without passwords. */
export interface SourceLine {
  readonly text: string;
  /** How many characters stand before the place. */
  readonly caret: number;
}

/** Characters shown before and after the place. */
const BEFORE = 50;
const AFTER = 60;
const UNPRINTABLE = /[\p{Control}\p{Surrogate}\u2028\u2029]/gu;

/** The line around an offset. */
export function showLine(text: string, offset: number): SourceLine {
  const start =
    Math.max(text.lastIndexOf("\n", offset - 1), text.lastIndexOf("\r", offset - 1)) + 1;
  const [line = ""] = text.slice(start).split(/[\r\n]/, 1);
  const place = Math.min(offset - start, line.length);
  // Each part on its own, so that the caret stays where it was.
  const before = Array.from(printable(withoutSecrets(line.slice(0, place))));
  const after = Array.from(printable(withoutSecrets(line.slice(place))));
  const left =
    before.length > BEFORE ? ["...", ...before.slice(-BEFORE)].join("") : before.join("");
  const right = after.length > AFTER ? `${after.slice(0, AFTER).join("")}...` : after.join("");
  return { text: `${left}${right}`, caret: Array.from(left).length };
}

/** Replaces what may be a password: what stands before an `@` in a URL, and what has a name that says so. */
export function withoutSecrets(text: string): string {
  return text
    .replace(/:\/\/[^\s"',]*@/g, "://***@")
    .replace(
      /((?:password|passwd|secret|token)["']?\s*[:=]\s*)("[^"]*"?|'[^']*'?|[^\s,}]+)/gi,
      "$1***",
    );
}

function printable(text: string): string {
  return text.replaceAll("\t", " ").replace(UNPRINTABLE, "\uFFFD");
}
