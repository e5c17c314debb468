import { printable } from "../printable.ts";

/** A line of a file as it may be shown: cut, printable and without passwords. */
export interface SourceLine {
  readonly text: string;
  /** How many characters stand before the place. */
  readonly caret: number;
}

/** Characters shown before and after the place. */
const BEFORE = 50;
const AFTER = 60;

/** The line around an offset. */
export function showLine(text: string, offset: number): SourceLine {
  const start =
    Math.max(text.lastIndexOf("\n", offset - 1), text.lastIndexOf("\r", offset - 1)) + 1;
  const [line = ""] = text.slice(start).split(/[\r\n]/, 1);
  const place = Math.min(offset - start, line.length);
  const [shown, at] = masked(line, place);
  const [before = [], after = []] = [shown.slice(0, at), shown.slice(at)].map((part) =>
    Array.from(printable(part.replaceAll("\t", " "))),
  );
  const left =
    before.length > BEFORE ? ["...", ...before.slice(-BEFORE)].join("") : before.join("");
  const right = after.length > AFTER ? `${after.slice(0, AFTER).join("")}...` : after.join("");
  return { text: `${left}${right}`, caret: Array.from(left).length };
}

/** Replaces what may be a password. */
export function withoutSecrets(text: string): string {
  return masked(text, 0)[0];
}

/** What stands before an `@` behind `://`, whatever it is; and what has a name that says so. */
const SECRET =
  /(?<=:\/\/)(?:(?!:\/\/).)*(?=@)|(?<=(?:pass\w*|secret|token)["']?\s*[:=]\s*)(?:"[^"]*"?|'[^']*'?|[^\s,}]+)/gi;
/** Somebody's name, and a variable in the place of the password. */
const NO_SECRET = /^[^:]*:?\$\{\w*\}$|^["']?\$\{\w*\}["']?$/;

/** A text without secrets, and where a place in it has gone: in a secret, to its beginning. */
function masked(text: string, place: number): [text: string, place: number] {
  let [shown, end, moved] = ["", 0, place];
  for (const { 0: secret, index } of text.matchAll(SECRET)) {
    if (secret === "" || NO_SECRET.test(secret)) continue;
    shown += `${text.slice(end, index)}***`;
    end = index + secret.length;
    if (place >= end) moved += 3 - secret.length;
    else if (place > index) moved -= place - index;
  }
  return [shown + text.slice(end), moved];
}
